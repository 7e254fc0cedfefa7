"""The folder a run writes: whole, read back as it was, and never over something else."""

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import grokdyn as gd
from grokdyn.engine.loop import train
from grokdyn.engine.loop.batch import Batch
from grokdyn.engine.plan import cohorts as plan
from grokdyn.engine.plan.plan import Plan
from grokdyn.engine.store import damage, reading
from grokdyn.engine.store import files as files_module
from grokdyn.engine.store import folder as store
from grokdyn.engine.store.pieces import part_file, read_part, write_part
from grokdyn.engine.store.results import STATUS, Part
from grokdyn.probes.base import Variable
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


@pytest.mark.filterwarnings("ignore:steps")
def test_runs_that_are_only_started_have_a_store(tmp_path):
    found = gd.run(SWEEP.along(cases.tiny(record=gd.At((0,)))), out=tmp_path / "s", progress=False)
    assert found.sizes["step"] == 1
    assert gd.open(tmp_path / "s").identical(found)


def test_results_are_labelled(written):
    _, found = written
    assert found.attrs["axes"] == "weight_decay seed"
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


PLACES = {
    "the working directory": (".", "."),
    "a link": ("link", "target"),
    "home": ("~/deep/store", "home/deep/store"),
    "upwards": ("deep/../up", "up"),
    "slash and spaces": ("a b/ c /", "a b/ c "),
    "a long name": ("x" * 250, "x" * 250),
}


@pytest.mark.parametrize("name", PLACES)
def test_a_store_is_where_the_user_says(tmp_path, monkeypatch, name):
    given, meant = PLACES[name]
    for folder in ("home", "target", "work", "deep"):
        (tmp_path / folder).mkdir()
    (tmp_path / "link").symlink_to("target")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "work" if name.startswith("the") else tmp_path)
    inode = (tmp_path / "work").stat().st_ino
    found = gd.run(SWEEP.base, out=given, progress=False)
    assert (Path.cwd() / meant / "spec.toml").is_file()
    assert files(tmp_path / "link") == files(tmp_path / "target")
    assert (tmp_path / "work").stat().st_ino == inode, "the folder is the one that was there"
    for use in (gd.open, gd.resume):
        assert use(given).identical(found)
    assert not list(tmp_path.rglob("~*"))


def test_a_place_that_cannot_be_is_told_before_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "circle").symlink_to("circle")
    monkeypatch.setattr(Plan, "of", lambda *_: pytest.fail("planned"))
    for given in (
        "x" * 300,
        "y/" * 2040,
        "dangling",
        "circle",
        "circle/x",
        "~nobody-of-this-name/x",
        "",
        "a\0b",
        b"x",
        7,
    ):
        with pytest.raises((gd.StoreError, gd.SpecError), match=r"^out: [^\n]{1,400}$"):
            gd.run(SWEEP.base, out=given)
    assert files(tmp_path) == ["circle", "dangling"]


def test_another_working_directory_meanwhile_does_no_harm(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    advance = Batch.advance

    def wander(self):
        monkeypatch.chdir(tmp_path / "elsewhere")
        advance(self)

    monkeypatch.setattr(Batch, "advance", wander)
    gd.run(SWEEP.base, out="s", progress=False, checkpoint_seconds=0)
    assert files(tmp_path / "elsewhere") == []
    assert gd.open(tmp_path / "s").status == 0


def test_what_a_process_left_that_made_a_store_is_no_hindrance(tmp_path):
    (tmp_path / f"store.{'0' * 32}.tmp" / "parts").mkdir(parents=True)
    gd.run(SWEEP.base, out=tmp_path, progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.json", "results.zarr", "spec.toml"]


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


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """Return a store whose process ended before it could write its results."""

    def end(*_):
        raise KeyboardInterrupt

    path = tmp_path_factory.mktemp("stores") / "ended"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "finish", end)
        with pytest.raises(KeyboardInterrupt):
            gd.run(SWEEP, out=path)
    return path


@pytest.fixture
def interrupted(ended, tmp_path):
    """Return a copy of it that may be spoilt."""
    return shutil.copytree(ended, tmp_path / "store")


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


@pytest.fixture
def copy(written, tmp_path):
    """Return a finished store that may be spoilt."""
    return shutil.copytree(written[0], tmp_path / "copy")


def spoil(file, how):
    whole = file.read_bytes()
    if how == "removed":
        file.unlink()
    else:
        file.write_bytes(whole[: len(whole) // 2] if how == "cut off" else whole[:-20] + b"x" + whole[-19:])


FILES = (
    "train_loss/c/0/0/0", "weight_norm_per_tensor/c/0/0/0/0", "diverged_at/c/0/0",
    "seed/c/0", "train_loss/zarr.json", "zarr.json",
)  # fmt: skip


@pytest.mark.parametrize("how", ["cut off", "removed", "flipped"])
@pytest.mark.parametrize("name", FILES)
def test_damaged_results_are_named_and_what_is_whole_can_be_read(written, copy, name, how):
    spoil(copy / "results.zarr" / name, how)
    told = rf"results\.zarr.* is damaged: 1 of \d+ files, such as {name};.* resume trains again what is lost"
    with pytest.raises(gd.StoreError, match=told):
        gd.open(copy)
    if name.endswith("zarr.json") or name.startswith("seed"):  # what the manifest knows takes its place
        xr.testing.assert_identical(gd.open(copy, anyway=True), written[1])
        return
    rest, spoilt = gd.open(copy, anyway=True), name.partition("/")[0]
    assert (rest.status == -1).all()  # the chunk held a value of every run
    xr.testing.assert_identical(rest.drop_vars([spoilt, "status"]), written[1].drop_vars([spoilt, "status"]))
    assert (rest[spoilt] == -1).all() if spoilt == "diverged_at" else rest[spoilt].isnull().all()


@pytest.fixture
def finely(written, copy):
    """Return a finished store with a chunk for every run, as large sweeps have many."""
    shutil.rmtree(copy / "results.zarr")
    single = {n: {"chunks": (1,) * len(v.dims)} for n, v in written[1].data_vars.items()}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        written[1].to_zarr(copy / "results.zarr", encoding=single, consolidated=True)
    known = reading.read_manifest(copy)
    store.write_manifest(copy, {**known, "checksums": {"results.zarr": damage.checksums(copy / "results.zarr")}})
    return copy


def test_resuming_trains_again_what_is_lost_and_nothing_else(written, finely, monkeypatch):
    spoil(finely / "results.zarr/train_loss/c/1/0/2", "cut off")
    rest = gd.open(finely, anyway=True)
    assert rest.status.values.tolist() == [[0, 0], [-1, 0]]
    xr.testing.assert_identical(rest.isel(weight_decay=0), written[1].isel(weight_decay=0))
    assert rest.train_loss.isnull().sum() == 1
    trained, train_batch = [], train.train_batch

    def noted(batch, name, *rest):
        trained.append(name)
        return train_batch(batch, name, *rest)

    monkeypatch.setattr(train, "train_batch", noted)
    xr.testing.assert_identical(gd.resume(finely), written[1])
    assert trained == ["000001"]
    xr.testing.assert_identical(gd.open(finely), written[1])
    assert sorted(path.name for path in finely.iterdir()) == ["manifest.json", "results.zarr", "spec.toml"]


def test_results_that_were_removed_are_trained_again(written, copy):
    shutil.rmtree(copy / "results.zarr")
    assert (gd.open(copy).status == -1).all()
    xr.testing.assert_identical(gd.resume(copy), written[1])
    xr.testing.assert_identical(gd.open(copy), written[1])
    spoil(copy / "results.zarr/train_loss/c/0/0/0", "cut off")
    with pytest.raises(gd.StoreError, match="is damaged"):
        gd.open(copy)


TEXTS = ("manifest.json", "spec.toml")


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("part", [0, 0.5, 0.95])
def test_a_text_that_is_cut_off_is_named_and_can_be_spared(written, interrupted, name, part):
    text = (interrupted / name).read_text()
    (interrupted / name).write_text(text[: int(part * len(text))])
    for use in (gd.open, gd.resume):
        with pytest.raises(gd.StoreError, match=rf"{name}.*(remove it|anyway)" if use is gd.open else "spec|manifest"):
            use(interrupted)
    (interrupted / name).unlink()
    assert gd.open(interrupted).status.values.tolist() == [[0, 0], [0, 0]]
    xr.testing.assert_identical(gd.resume(interrupted), written[1])
    assert (interrupted / "spec.toml").is_file()
    assert json.loads((interrupted / "manifest.json").read_text())["finished"] is True


def test_results_can_be_read_without_a_manifest(written, copy):
    (copy / "manifest.json").write_text("{")
    with pytest.raises(gd.StoreError, match=r"manifest\.json.* remove it, and the results can be read without it"):
        gd.open(copy)
    xr.testing.assert_identical(gd.open(copy, anyway=True), written[1])
    (copy / "manifest.json").unlink()
    xr.testing.assert_identical(gd.open(copy), written[1])
    xr.testing.assert_identical(gd.resume(copy), written[1])


def test_a_store_of_a_newer_schema_is_not_guessed_at(written, copy):
    known = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**known, "schema": store.SCHEMA + 1}))
    for use in (gd.open, gd.resume):
        with pytest.raises(gd.StoreError, match=r"got schema 2; allowed: up to 1, or a newer grokdyn"):
            use(copy)


def test_a_damaged_part_is_left_out_where_the_user_says_so(written, interrupted):
    spoil(parts(interrupted)[0], "cut off")
    rest = gd.open(interrupted, anyway=True)
    assert rest.status.values.tolist() == [[-1, -1], [0, 0]]
    xr.testing.assert_equal(rest.isel(weight_decay=1), written[1].isel(weight_decay=1))


def test_a_note_on_a_session_that_is_damaged_is_not_missed(written, interrupted):
    for file in (interrupted / "sessions").iterdir():
        file.write_text('{"name": ')
    assert reading.read_manifest(interrupted)["sessions"] == []
    xr.testing.assert_identical(gd.resume(interrupted), written[1])


@pytest.mark.parametrize("what", ["parts", "results.zarr"])
def test_a_folder_that_cannot_be_written_is_told_and_nothing_is_lost(written, interrupted, what, monkeypatch):
    """Root may write anywhere, so the system's refusal is played."""

    def refused(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    if what == "parts":
        parts(interrupted)[1].unlink()
    with monkeypatch.context() as patch:
        patch.setattr(files_module.Path, "touch", refused)
        patch.setattr(store.os, "replace", refused)
        with pytest.raises(gd.StoreError, match="Permission denied; what was finished before is kept"):
            gd.resume(interrupted)
    xr.testing.assert_identical(gd.resume(interrupted), written[1])


def test_variables_on_one_axis_may_cover_different_parts_of_it(tmp_path):
    few, many = (Variable("power", dims=("frequency",), coordinates={"frequency": list(range(n))}) for n in (2, 4))
    zero, steps = np.zeros(1, np.int64), np.arange(3)
    arrays = {"few": np.ones((1, 3, 2)), "many": np.ones((1, 3, 4))}
    written = Part(zero, steps, {"few": few, "many": many}, arrays, dict.fromkeys(STATUS, zero))
    (tmp_path / "parts").mkdir()
    write_part(part_file(tmp_path, 0), written, {})
    found = read_part(part_file(tmp_path, 0), {}).variables
    assert {name: found[name].coordinates["frequency"] for name in found} == {"few": [0, 1], "many": [0, 1, 2, 3]}
    assert [found[name][:3] for name in found] == [few[:3], many[:3]]
