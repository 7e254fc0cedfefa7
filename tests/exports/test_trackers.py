"""What a tracker reads back from its own files: the numbers of the results, one run for a sweep."""

import importlib.util
import json

import numpy as np
import pytest

import grokdyn as gd
from tests.page import stores


def needs(module):
    absent = importlib.util.find_spec(module) is None
    return pytest.mark.skipif(absent, reason=f"no {module} here: the extra of that name")


@pytest.fixture
def expected():
    """Return results, the steps and the median test accuracy over all runs."""
    ds = stores.ended().isel(weight_decay=[2, 3], train_fraction=slice(3, 5), step=slice(0, 6))
    median = ds["test_accuracy"].median(["weight_decay", "train_fraction", "seed"])
    return ds.assign_attrs(spec="steps = 5\n"), ds["step"].values.tolist(), median.values


@needs("tensorboard")
@pytest.mark.filterwarnings("ignore")
def test_tensorboard_reads_the_curves(expected, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    ds, steps, median = expected
    (folder,) = gd.export(ds, "tensorboard", tmp_path)
    read = EventAccumulator(str(folder)).Reload()
    found = read.Scalars("median/test_accuracy")
    assert [event.step for event in found] == steps
    np.testing.assert_allclose([event.value for event in found], median, rtol=1e-6)
    assert read.Scalars("summary/runs")[0].value == 12
    assert any(tag.startswith("spec") for tag in read.Tags()["tensors"])


@needs("mlflow")
@pytest.mark.filterwarnings("ignore")
def test_mlflow_reads_the_curves(expected, tmp_path):
    from mlflow.tracking import MlflowClient

    ds, steps, median = expected
    (folder,) = gd.export(ds, "mlflow", tmp_path)
    client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    (experiment,) = (one for one in client.search_experiments() if one.name == "grokdyn")
    (run,) = client.search_runs([experiment.experiment_id])
    found = sorted(client.get_metric_history(run.info.run_id, "median/test_accuracy"), key=lambda one: one.step)
    assert [one.step for one in found] == steps
    assert [one.value for one in found] == median.tolist()
    assert run.data.metrics["summary/runs"] == 12
    assert run.data.params["seed"] == '["0", "1", "2"]'
    assert run.info.status == "FINISHED"
    assert (folder / "artifacts").is_dir()


def logged(raw, header=7, block=32768):
    """Yield the records of a log in LevelDB's format, which an offline run of wandb is, behind a header of 7 bytes.

    A record is cut into pieces that no block of the file ends within: checksum (4 bytes), length (2), kind (1), data.
    """
    whole, first, last = 1, 2, 4
    place, data = header, b""
    while place + header <= len(raw):
        if block - place % block < header:
            place += block - place % block
            continue
        length, kind = int.from_bytes(raw[place + 4 : place + 6], "little"), raw[place + 6]
        piece = raw[place + header : place + header + length]
        data = piece if kind in (whole, first) else data + piece
        if kind in (whole, last):
            yield data
        place += header + length


@needs("wandb")
@pytest.mark.filterwarnings("ignore")
def test_wandb_reads_the_curves(expected, tmp_path):
    from wandb.proto import wandb_internal_pb2

    ds, steps, median = expected
    (folder,) = gd.export(ds, "wandb", tmp_path)
    assert folder.parent == tmp_path / "wandb"
    (file,) = folder.glob("*.wandb")
    history = {}
    for data in logged(file.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        if record.WhichOneof("record_type") == "history":
            items = {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item}
            if "median/test_accuracy" in items:
                history[items["_step"]] = items["median/test_accuracy"]
    assert list(history) == steps
    assert list(history.values()) == median.tolist()
