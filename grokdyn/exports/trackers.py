"""One run of an experiment tracker for a whole sweep, in the tracker's own files; nothing is sent anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

from grokdyn.analysis.checks import swept_axes
from grokdyn.exports.tables import frame, records, runs


def chosen(ds: xr.Dataset, threshold: float) -> dict[str, xr.Dataset]:
    """Return curves by name [step]: medians over all runs, and those of the first and last run to generalise."""
    table = records(ds)
    found = {"median": table.median("run")} if table.sizes["run"] > 1 else {"run_0": table.isel(run=0)}
    known = runs(ds, threshold)
    if table.sizes["run"] > 1 and "step_test" in known and bool(known["step_test"].notnull().any()):
        for word, at in (("first", known["step_test"].argmin("run")), ("last", known["step_test"].argmax("run"))):
            found[f"{word}_to_generalise_run_{int(at)}"] = table.isel(run=int(at))
    return found


def points(ds: xr.Dataset, threshold: float) -> Iterator[tuple[str, int, float]]:
    """Yield name, step and value of every number of the chosen curves."""
    for curve, table in chosen(ds, threshold).items():
        for name, array in table.data_vars.items():
            for step, value in zip(ds["step"].values, array.values, strict=True):
                if np.isfinite(value):
                    yield f"{curve}/{name}", int(step), float(value)


def summary(ds: xr.Dataset, threshold: float) -> dict[str, float]:
    """Return a few numbers of the sweep: how many runs, how many diverged or got there, medians of what was last."""
    known = runs(ds, threshold)
    found = {"runs": float(known.sizes["run"])}
    if "status" in known:
        found["diverged"] = float((known["status"] > 0).sum())
    if "step_test" in known:
        found["generalised"] = float(known["step_test"].notnull().sum())
    for name, array in known.data_vars.items():
        if array.dtype.kind == "f" and bool(array.notnull().any()):
            found[f"median_{name}"] = float(array.median())
    return found


def settings(ds: xr.Dataset) -> dict[str, str]:
    """Return the spec, and the axes with their values, as text."""
    axes = {axis: json.dumps([str(value) for value in ds[axis].values]) for axis in swept_axes(ds) if axis in ds.coords}
    return {"spec": str(ds.attrs.get("spec", "")), **axes}


def tensorboard(ds: xr.Dataset, name: str, place: Path, threshold: float) -> list[Path]:
    """Write an event file: scalars of the chosen curves, the summary at step 0, spec and table as text."""
    from tensorboard.compat.proto import event_pb2, summary_pb2  # pyright: ignore[reportMissingImports]
    from tensorboard.plugins.text.summary_v2 import text_pb  # pyright: ignore[reportMissingImports]
    from tensorboard.summary.writer.event_file_writer import EventFileWriter  # pyright: ignore[reportMissingImports]

    folder = place / name
    writer = EventFileWriter(str(folder))

    def scalar(tag: str, step: int, value: float) -> None:
        entry = summary_pb2.Summary.Value(tag=tag, simple_value=value)
        writer.add_event(event_pb2.Event(step=step, summary=summary_pb2.Summary(value=[entry])))

    for tag, step, value in points(ds, threshold):
        scalar(tag, step, value)
    for tag, value in summary(ds, threshold).items():
        scalar(f"summary/{tag}", 0, value)
    told = {**settings(ds), "runs": frame(runs(ds, threshold)).to_csv(index=False)}
    for tag, text in told.items():
        indented = "\n".join(f"    {line}" for line in text.splitlines())  # as it is: the text is read as Markdown
        writer.add_event(event_pb2.Event(step=0, summary=text_pb(tag, indented)))
    writer.close()
    return [folder]


def wandb(ds: xr.Dataset, name: str, place: Path, threshold: float) -> list[Path]:
    """Write an offline run of Weights & Biases; ``wandb sync`` sends it where its owner wants it."""
    import wandb as tracker  # pyright: ignore[reportMissingImports]

    run = tracker.init(
        project="grokdyn",
        name=name,
        dir=str(place),
        mode="offline",
        config=settings(ds),
        settings=tracker.Settings(silent=True, console="off"),
    )
    steps: dict[int, dict[str, float]] = {}
    for tag, step, value in points(ds, threshold):
        steps.setdefault(step, {})[tag] = value
    for step in sorted(steps):
        run.log(steps[step], step=step)
    run.log({"runs": tracker.Table(dataframe=frame(runs(ds, threshold)))})
    run.summary.update(summary(ds, threshold))
    folder = Path(run.dir).parent
    run.finish()
    return [folder]


def mlflow(ds: xr.Dataset, name: str, place: Path, threshold: float) -> list[Path]:
    """Write a run of MLflow into a database in the folder: ``mlflow ui --backend-store-uri sqlite:///.../mlflow.db``."""
    from mlflow.entities import Metric, Param  # pyright: ignore[reportMissingImports]
    from mlflow.tracking import MlflowClient  # pyright: ignore[reportMissingImports]

    folder = place / "mlflow"
    folder.mkdir(exist_ok=True)
    client = MlflowClient(tracking_uri=f"sqlite:///{folder.absolute() / 'mlflow.db'}")
    known, files = client.get_experiment_by_name("grokdyn"), (folder.absolute() / "artifacts").as_uri()
    experiment = known.experiment_id if known else client.create_experiment("grokdyn", artifact_location=files)
    run = client.create_run(experiment, run_name=name).info.run_id
    metrics = [Metric(tag, value, 0, step) for tag, step, value in points(ds, threshold)]
    metrics += [Metric(f"summary/{tag}", value, 0, 0) for tag, value in summary(ds, threshold).items()]
    told = settings(ds)
    client.log_text(run, told.pop("spec"), "spec.toml")
    client.log_batch(run, params=[Param(axis, text) for axis, text in told.items()])
    for first in range(0, len(metrics), 1000):
        client.log_batch(run, metrics=metrics[first : first + 1000])
    client.log_text(run, frame(runs(ds, threshold)).to_csv(index=False), "runs.csv")
    client.set_terminated(run)
    return [folder]
