"""The folder a run writes: whole, read back as it was, and never over something else."""

import json
import shutil

import pytest
import xarray as xr

import grokdyn as gd
from grokdyn.engine import plan, store
from tests import cases

SWEEP = gd.Sweep(
    cases.tiny(steps=3, record=gd.Every(1)),
    {"optimizer.weight_decay": [0, 0.5], "seed": [3, 4]},
)


@pytest.fixture(scope="module", autouse=True)
def two_batches():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "MOST_LANES", 2)
        yield


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("stores") / "deep" / "store"
    return out, gd.run(SWEEP, out=out)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_store_holds_spec_manifest_and_results(written):
    out, _ = written
    assert {"spec.toml", "manifest.json", "results.zarr"} <= {path.name for path in out.iterdir()}
    assert not list(out.rglob("*.tmp"))
    assert gd.load(out / "spec.toml") == SWEEP
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["finished"] is True
    assert manifest["jax"]
    assert manifest["grokdyn"]
    assert manifest["device_kind"]
    assert sum(cohort["runs"] for cohort in manifest["cohorts"]) == SWEEP.size
    assert [cohort["batches"] for cohort in manifest["cohorts"]] == [2]


def test_opening_gives_the_dataset_that_was_returned(written):
    out, found = written
    xr.testing.assert_identical(gd.open(out), found)
    xr.testing.assert_identical(gd.open(str(out)), found)


def test_results_are_labelled(written):
    _, found = written
    assert found.attrs["axes"] == ["weight_decay", "seed"]
    assert found.train_loss.dims == ("weight_decay", "seed", "step")
    assert found.seed.values.tolist() == [3, 4]
    assert found.tensor.values.tolist() == ["W_0", "W_1"]
    assert found.weight_decay.values.tolist() == [0.0, 0.5]
    assert gd.Sweep.from_toml(found.attrs["spec"]) == SWEEP
    assert all(variable.attrs["long_name"] for variable in found.data_vars.values())


def test_a_folder_that_is_not_empty_is_left_as_it_is(written, tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    for folder in (tmp_path, written[0]):
        before = files(folder)
        with pytest.raises(gd.StoreError, match="is not empty"):
            gd.run(SWEEP, out=folder)
        assert files(folder) == before


def test_an_empty_folder_is_used(tmp_path):
    with pytest.raises(gd.SpecError):
        gd.run(SWEEP.base.replace(steps=0), out=tmp_path / "bad")
    assert files(tmp_path) == [], "a mistake in the description leaves nothing behind"
    store.check_free(tmp_path)


@pytest.mark.parametrize("below", ["", "store", "deep/store"])
def test_a_place_at_or_below_a_file_is_refused(tmp_path, below):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(gd.StoreError, match="allowed: a folder"):
        gd.run(SWEEP, out=tmp_path / "file" / below)
    assert files(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.parametrize("content", [None, {}, {"manifest.json": "{}"}], ids=["absent", "empty", "no spec"])
def test_what_is_not_a_store_is_not_opened(tmp_path, content):
    folder = tmp_path / "folder"
    if content is not None:
        folder.mkdir()
        for name, text in content.items():
            (folder / name).write_text(text)
    with pytest.raises(gd.StoreError, match="is not a store"):
        gd.open(folder)


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """Return a store whose process ended before it could write its results."""

    def end(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store, "finish", end)
        with pytest.raises(KeyboardInterrupt):
            gd.run(SWEEP, out=tmp_path / "store")
    return tmp_path / "store"


def parts(folder):
    return sorted((folder / "parts").rglob("*.npz"))


def test_a_store_that_is_still_being_written_can_be_opened(written, interrupted):
    _, found = written
    partial = gd.open(interrupted)
    xr.testing.assert_equal(partial.drop_vars("diverged_at"), found.drop_vars("diverged_at"))
    assert json.loads((interrupted / "manifest.json").read_text())["finished"] is False
    parts(interrupted)[-1].unlink()
    partial = gd.open(interrupted)
    assert (partial.status == -1).any()
    assert (partial.status == 0).any()
    assert partial.train_loss.where(partial.status == -1).isnull().all()
    xr.testing.assert_equal(partial.where(partial.status == 0).train_loss, found.where(partial.status == 0).train_loss)


def test_a_truncated_part_is_detected(interrupted):
    part = parts(interrupted)[0]
    whole = part.read_bytes()
    for length in (0, 1, len(whole) // 2, len(whole) - 1):
        part.write_bytes(whole[:length])
        with pytest.raises(gd.StoreError, match="is damaged"):
            gd.open(interrupted)


def test_damaged_results_are_detected(written, tmp_path):
    shutil.copytree(written[0], tmp_path / "copy")
    for meta in (tmp_path / "copy" / "results.zarr").rglob("zarr.json"):
        meta.write_text("{")
    with pytest.raises(gd.StoreError, match="is damaged"):
        gd.open(tmp_path / "copy")
