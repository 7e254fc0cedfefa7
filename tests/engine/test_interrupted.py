"""Sweeps that are cut off, stopped, out of memory, or run on from a stored state."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

import jax
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.engine.loop.batch import Batch
from grokdyn.engine.store import folder as store
from grokdyn.engine.store import reading
from grokdyn.engine.store.states import read_snapshot
from tests.engine.alike import processes_alike

SPEC = """
steps = 60
record = {every = 10}
snapshots = [0, 20, 25, 60]
[task]
kind = "modular"
p = 7
[model]
kind = "mlp"
hidden = [8]
[loss]
kind = "mse"
[optimizer]
kind = "adamw"
[sweep]
"optimizer.weight_decay" = [0.0, 1.0]
"task.train_fraction" = [0.3, 0.5, 0.7]
seed = [0, 1]
"""


@pytest.fixture(scope="module")
def sweep():
    return gd.Sweep.from_toml(SPEC)


@pytest.fixture(scope="module")
def whole(sweep, tmp_path_factory):
    path = tmp_path_factory.mktemp("stores") / "whole"
    return path, gd.run(sweep, out=path, progress=False)


class CutError(Exception):
    """Stands for a kill."""


def cut_after(monkeypatch, chunks):
    """Make training end with ``Cut`` after some chunks."""
    advance, left = Batch.advance, [chunks]

    def counted(self):
        if left[0] == 0:
            raise CutError
        left[0] -= 1
        advance(self)

    monkeypatch.setattr(Batch, "advance", counted)


@pytest.mark.parametrize("chunks", [0, 1, 4])
def test_a_sweep_that_was_cut_off_resumes_to_the_same_bits(sweep, whole, tmp_path, monkeypatch, chunks):
    with monkeypatch.context() as patch:
        cut_after(patch, chunks)
        with pytest.raises(CutError):
            gd.run(sweep, out=tmp_path / "s", progress=False, checkpoint_seconds=0)
    assert (gd.open(tmp_path / "s").status == -1).all()  # nothing finished, and it opens
    assert gd.resume(tmp_path / "s", progress=False).identical(whole[1])
    assert gd.open(tmp_path / "s").identical(whole[1])
    assert sorted(p.name for p in (tmp_path / "s").iterdir()) == [
        "manifest.json", "results.zarr", "snapshots", "spec.toml",
    ]  # fmt: skip


def checkpoints(path):
    """Return the files of a store's checkpoints, the oldest first."""
    return sorted((path / "checkpoints").glob("*/[0-9]*.npz"))


@pytest.mark.parametrize("checkpoint_seconds", [60, 0])
@pytest.mark.parametrize("which", [slice(None), slice(-1, None)], ids=["all", "newest"])
def test_a_checkpoint_that_is_damaged_costs_time_and_nothing_else(cut, whole, monkeypatch, which, checkpoint_seconds):
    steps = [int(file.stem) for file in checkpoints(cut)]
    assert len(steps) == 2
    for file in checkpoints(cut)[which]:
        file.write_bytes(file.read_bytes()[:50])
    with monkeypatch.context() as patch:
        cut_after(patch, 1)
        with pytest.raises(CutError):
            gd.resume(cut, progress=False, checkpoint_seconds=0)
    assert int(checkpoints(cut)[-1].stem) == (0 if which == slice(None) else steps[-1])
    assert gd.resume(cut, progress=False, checkpoint_seconds=checkpoint_seconds).identical(whole[1])


def chunks_begun(monkeypatch, third=lambda: None):
    """Return the steps at which chunks begin from now on; something may happen before the third does."""
    advance, begun = Batch.advance, []

    def noted(self):
        begun.append(self.step)
        if len(begun) == 3:
            third()
        advance(self)

    monkeypatch.setattr(Batch, "advance", noted)
    return begun


def test_a_process_ends_well_whose_store_another_one_finishes(sweep, whole, tmp_path, monkeypatch):
    begun = chunks_begun(monkeypatch, lambda: gd.resume(tmp_path / "s", progress=False))
    assert gd.run(sweep, out=tmp_path / "s", progress=False, checkpoint_seconds=0).identical(whole[1])
    assert begun == [0, 0, 10, 10, 20, 25, 30, 40, 50], "one chunk more after the other process, and no further"
    assert gd.open(tmp_path / "s").identical(whole[1])
    assert {p.name for p in (tmp_path / "s").iterdir()} == {"manifest.json", "results.zarr", "snapshots", "spec.toml"}


def test_a_folder_of_checkpoints_that_went_away_is_told(sweep, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        chunks_begun(patch, lambda: shutil.rmtree(tmp_path / "s/checkpoints"))
        with pytest.raises(gd.StoreError, match=r"cannot write to .*checkpoints.*No such file"):
            gd.run(sweep, out=tmp_path / "s", progress=False, checkpoint_seconds=0)
    assert gd.resume(tmp_path / "s", progress=False).identical(whole[1])


@pytest.fixture(scope="module")
def cut_off(sweep, tmp_path_factory):
    """Return a store that was cut off in its only batch, after a checkpoint."""
    path = tmp_path_factory.mktemp("stores") / "cut"
    with pytest.MonkeyPatch.context() as patch:
        cut_after(patch, 4)
        with pytest.raises(CutError):
            gd.run(sweep, out=path, progress=False, checkpoint_seconds=0)
    return path


@pytest.fixture
def cut(cut_off, tmp_path):
    """Return a copy of it that may be spoilt."""
    return shutil.copytree(cut_off, tmp_path / "s")


@pytest.mark.parametrize("name", ["jax", "numpy", "grokdyn", "source", "device_kind", "random", "xla_flags"])
def test_what_changed_is_named_on_resuming(cut, whole, name):
    known = reading.read_manifest(cut)
    store.write_manifest(cut, {**known, name: "0.0.1"})
    with pytest.raises(gd.StoreError, match=rf"cannot resume: {name} was 0\.0\.1, is .*; allowed: .*--anyway"):
        gd.resume(cut, progress=False)
    assert gd.resume(cut, progress=False, anyway=True).identical(whole[1])
    assert f"{name} was 0.0.1" in reading.read_manifest(cut)["sessions"][-1]["changed"]


CHANGES = {
    "steps = 60": ("steps = 61", "steps was 60, is 61"),
    'dtype = "float32"': ('dtype = "float64"', "dtype was float32, is float64"),
    'matmul_precision = "highest"': (
        'matmul_precision = "default"', "matmul_precision was highest, is default",
    ),
    "learning_rate = 0.001": ("learning_rate = 0.002", r"optimizer\.learning_rate was 0\.001, is 0\.002"),
}  # fmt: skip


@pytest.mark.parametrize("text", CHANGES)
def test_a_spec_that_changed_is_refused_and_what_changed_named(cut, whole, text):
    new, told = CHANGES[text]
    spec = (cut / "spec.toml").read_text()
    assert spec.count(text) == 1
    (cut / "spec.toml").write_text(spec.replace(text, new))
    for refused in (lambda: gd.resume(cut, progress=False), lambda: gd.open(cut)):
        with pytest.raises(gd.StoreError, match=told):
            refused()
    (cut / "spec.toml").unlink()
    assert gd.resume(cut, progress=False).identical(whole[1])
    assert (cut / "spec.toml").read_text() == spec


def test_a_spec_that_changed_is_taken_where_the_user_says_so(cut):
    spec = (cut / "spec.toml").read_text()
    (cut / "spec.toml").write_text(spec.replace("learning_rate = 0.001", "learning_rate = 0.002"))
    found = gd.resume(cut, progress=False, anyway=True)
    assert (found.status == 0).all()
    assert "learning_rate = 0.002" in found.attrs["spec"]
    assert gd.open(cut).identical(found)


@pytest.mark.parametrize(
    ("changes", "goes_on"),
    [
        ({"steps": 80}, True),
        ({"record": gd.Every(20)}, True),
        ({"record": gd.At((0, 5, 20, 25, 40, 50, 60))}, False),
        ({"record": gd.Every(5)}, False),
    ],
)
def test_records_are_kept_by_their_steps_where_others_are_asked_for(sweep, cut, monkeypatch, changes, goes_on):
    other = gd.Sweep(sweep.base.replace(**changes), sweep.axes)
    (cut / "spec.toml").write_text(other.to_toml())
    begun = chunks_begun(monkeypatch)
    found = gd.resume(cut, progress=False, anyway=True)
    assert begun[0] == (25 if goes_on else 0)
    assert found.identical(gd.run(other, progress=False))


def test_other_runs_are_refused_in_any_case(cut):
    spec = (cut / "spec.toml").read_text()
    axis = "    0.7,\n"
    assert spec.count(axis) == 1
    (cut / "spec.toml").write_text(spec.replace(axis, "    0.7,\n    0.8,\n"))
    with pytest.raises(gd.StoreError, match=r"sweep\.task\.train_fraction was .*; its runs would be others"):
        gd.resume(cut, progress=False, anyway=True)


def test_what_a_batch_in_training_has_found_can_be_seen(cut, whole):
    found = gd.open(cut)
    assert (found.status == -1).all()
    seen = found.train_loss.notnull()
    assert seen.any()
    assert not seen.all()
    np.testing.assert_array_equal(found.train_loss.where(seen), whole[1].train_loss.where(seen))
    np.testing.assert_array_equal(seen.any([d for d in seen.dims if d != "step"]), found.step <= 25)


def test_a_part_that_is_damaged_is_named_and_trained_again(sweep, whole, tmp_path, monkeypatch, capsys):
    gd_finish = store.finish
    monkeypatch.setattr(store, "finish", lambda *a: (_ for _ in ()).throw(CutError))
    with pytest.raises(CutError):
        gd.run(sweep, out=tmp_path / "s", progress=False)
    monkeypatch.setattr(store, "finish", gd_finish)
    part = tmp_path / "s/parts/000000.npz"
    part.write_bytes(part.read_bytes()[:-200])
    with pytest.raises(gd.StoreError, match=r"000000\.npz.*damaged.*resume trains again what it held"):
        gd.open(tmp_path / "s")
    assert gd.resume(tmp_path / "s", progress=None).identical(whole[1])
    assert "is damaged" in (told := capsys.readouterr().err)
    assert "batch 1 is trained again" in told


def damage_one(file):
    whole = file.read_bytes()
    file.write_bytes(whole[:40] + bytes([whole[40] ^ 1]) + whole[41:])


@pytest.mark.parametrize("how", ["damaged", "removed"])
def test_a_snapshot_that_is_lost_is_told_and_trained_again(sweep, whole, tmp_path, capsys, how):
    path = shutil.copytree(whole[0], tmp_path / "s")
    snapshot = path / "snapshots/000000-0000000020.npz"
    before = snapshot.read_bytes()
    damage_one(snapshot) if how == "damaged" else snapshot.unlink()
    told = rf"000000-0000000020\.npz' is {'damaged' if how == 'damaged' else 'not there'}.*resume trains again what it"
    for use in (lambda: gd.probe(path, ["weight_norm"]), lambda: gd.fork(path, 0, 20, {})):
        with pytest.raises(gd.StoreError, match=told):
            use()
    known = reading.read_manifest(path)
    store.write_manifest(path, {**known, "jax": "0.0.1"})
    assert gd.resume(path, progress=False).identical(whole[1]), "the results are whole"
    assert "jax was 0.0.1" in capsys.readouterr().err
    store.write_manifest(path, known)
    assert gd.resume(path, progress=False).identical(whole[1])
    assert snapshot.read_bytes() == before
    assert sorted(p.name for p in path.iterdir()) == ["manifest.json", "results.zarr", "snapshots", "spec.toml"]


def test_a_snapshot_that_is_lost_half_way_makes_its_batch_begin_again(cut, whole, monkeypatch):
    (cut / "snapshots/000000-0000000020.npz").unlink()
    begun = chunks_begun(monkeypatch)
    assert gd.resume(cut, progress=False).identical(whole[1])
    assert begun[0] == 0
    name = "snapshots/000000-0000000020.npz"
    assert (cut / name).read_bytes() == (whole[0] / name).read_bytes()


def test_a_damaged_store_of_other_versions_is_left_as_it_is(whole, tmp_path):
    path = shutil.copytree(whole[0], tmp_path / "s")
    damage_one(path / "results.zarr/train_loss/c/0/0/0/0")
    store.write_manifest(path, {**reading.read_manifest(path), "jax": "0.0.1"})
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    with pytest.raises(gd.StoreError, match=r"cannot resume: jax was 0\.0\.1"):
        gd.resume(path, progress=False)
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before
    assert gd.resume(path, progress=False, anyway=True).identical(whole[1])


def begun_elsewhere(sweep, whole, monkeypatch, path, name, which):
    """Return a store cut off whose runs begin from a file, one of two of that kind."""
    one, rows = sweep.base.replace(snapshots=(20,)), gd.Start(train_rows=list(range(3 * which, 20 + 3 * which)))
    with monkeypatch.context() as patch, suppress(CutError):
        cut_after(patch, 1)
        if name == "start.npz":
            gd.run(one, out=path, start=rows, progress=False, checkpoint_seconds=0)
        else:
            gd.fork(whole[0], run=which, step=20, change={}, out=path)
    return path


STARTS = [("start.npz", "lost"), ("start.npz", "another"), ("origin.npz", "lost"), ("origin.npz", "damaged")]


@pytest.mark.parametrize(("name", "how"), STARTS)
def test_what_runs_begin_from_is_never_missed_in_silence(sweep, whole, tmp_path, monkeypatch, name, how):
    path = begun_elsewhere(sweep, whole, monkeypatch, tmp_path / "s", name, 0)
    before = (path / name).read_bytes()
    if how == "damaged":
        damage_one(path / name)
    else:
        (path / name).unlink()
    if how == "another":
        shutil.copy(begun_elsewhere(sweep, whole, monkeypatch, tmp_path / "t", name, 1) / name, path)
    with pytest.raises(gd.StoreError, match=rf"{name}' is (not there|damaged or another).*put a copy of it back"):
        gd.resume(path, progress=False)
    (path / name).write_bytes(before)
    assert (gd.resume(path, progress=False).status == 0).all()


def test_a_start_that_appeared_is_not_taken(cut, whole, tmp_path, sweep, monkeypatch):
    other = begun_elsewhere(sweep, whole, monkeypatch, tmp_path / "t", "start.npz", 0)
    shutil.copy(other / "start.npz", cut)
    with pytest.raises(gd.StoreError, match=r"start\.npz' is not what .* they began without; remove it"):
        gd.resume(cut, progress=False)
    (cut / "start.npz").unlink()
    assert gd.resume(cut, progress=False).identical(whole[1])


def test_pieces_of_another_sweep_are_not_taken(sweep, cut, whole, tmp_path, monkeypatch, capsys):
    other = gd.Sweep(sweep.base.replace(optimizer=gd.AdamW(learning_rate=0.5)), sweep.axes)
    with monkeypatch.context() as patch:
        patch.setattr(store, "finish", lambda *a: (_ for _ in ()).throw(CutError))
        with pytest.raises(CutError):
            gd.run(other, out=tmp_path / "t", progress=False)
    shutil.copy(tmp_path / "t/parts/000000.npz", cut / "parts")
    shutil.copytree(tmp_path / "t/snapshots", cut / "snapshots", dirs_exist_ok=True)
    with pytest.raises(gd.StoreError, match=r"parts/000000\.npz' belongs to something else .*resume trains again"):
        gd.open(cut)
    assert gd.resume(cut).identical(whole[1])
    assert "belongs to something else" in capsys.readouterr().err
    for file in (whole[0] / "snapshots").iterdir():
        assert (cut / "snapshots" / file.name).read_bytes() == file.read_bytes()


OBSTACLES = ("results.zarr", "snapshots", "checkpoints", "parts/000000.npz/x", "snapshots/000000-0000000060.npz/x")


@pytest.mark.parametrize("name", OBSTACLES)
def test_something_else_where_a_store_has_its_own_is_told_before_training(cut, monkeypatch, name):
    place = cut / name.removesuffix("/x")
    shutil.rmtree(place, ignore_errors=True)
    if name.endswith("/x"):
        place.mkdir()
    (cut / name).write_text("precious")
    begun = chunks_begun(monkeypatch)
    with pytest.raises(gd.StoreError, match=rf"{place.name}' is (no|a) folder; move it away, and grokdyn resume"):
        gd.resume(cut, progress=False)
    assert begun == []
    assert (cut / name).read_text() == "precious"


def test_a_lock_that_is_a_pipe_is_not_waited_for(cut, whole):
    lock = cut / "checkpoints/000000.lock"
    lock.unlink()
    os.mkfifo(lock)
    assert gd.resume(cut, progress=False).identical(whole[1])


def test_results_of_another_sweep_are_not_taken(sweep, cut, whole, tmp_path):
    gd.run(gd.Sweep(sweep.base.replace(steps=61, snapshots=()), sweep.axes), out=tmp_path / "t", progress=False)
    shutil.copytree(tmp_path / "t/results.zarr", cut / "results.zarr")
    for use in (gd.open, lambda path: gd.resume(path, progress=False)):
        with pytest.raises(gd.StoreError, match=r"results\.zarr' belongs to another sweep .*remove it, and .*resume"):
            use(cut)
    shutil.rmtree(cut / "results.zarr")
    assert gd.resume(cut, progress=False).identical(whole[1])


def test_checkpoints_of_an_earlier_version_are_told_and_not_missed(cut, whole, capsys):
    for file in checkpoints(cut):
        file.unlink()
        file.with_suffix("").mkdir()
    assert gd.resume(cut).identical(whole[1])
    assert "holds checkpoints of an earlier version; the batch begins again" in capsys.readouterr().err


def test_a_full_disk_is_told_and_what_is_finished_stays(sweep, whole, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np.lib.format, "write_array", full)
        with pytest.raises(gd.StoreError, match="No space left on device"):
            gd.run(sweep.base.replace(snapshots=()), out=tmp_path / "s", progress=False)
    assert not list((tmp_path / "s").rglob("*.tmp"))
    assert gd.resume(tmp_path / "s", progress=False).status == 0


def short_of_memory(monkeypatch, most=4):
    """Let batches of more runs not fit into memory; return the sizes that are tried."""
    begin, tried = Batch.__init__, []

    def small(self, cohort, lanes, shared, **how):
        tried.append(len(np.unique(lanes)))
        if tried[-1] > most:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
        begin(self, cohort, lanes, shared, **how)

    monkeypatch.setattr(Batch, "__init__", small)
    return tried


def test_halves_of_a_batch_are_trained_where_memory_is_short(sweep, whole, monkeypatch):
    tried = short_of_memory(monkeypatch)
    assert gd.run(sweep, progress=False).identical(whole[1])
    assert tried == [12, 6, 3, 3, 6, 3, 3]


def test_halves_survive_an_interruption_like_whole_batches(sweep, whole, tmp_path, monkeypatch):
    tried = short_of_memory(monkeypatch)
    with monkeypatch.context() as patch:
        cut_after(patch, 8 + 4)  # a quarter is finished, the next one half way
        with pytest.raises(CutError):
            gd.run(sweep, out=tmp_path / "s", progress=False, checkpoint_seconds=0)
    assert ((found := gd.open(tmp_path / "s")).status == 0).sum() == 3
    assert (found.train_loss.notnull().any("step")).sum() == 6
    del tried[:]
    assert gd.resume(tmp_path / "s", progress=False).identical(whole[1])
    assert tried == [3, 6, 3, 3], "what is known not to fit is not tried again"
    names = sorted(file.name for file in (whole[0] / "snapshots").iterdir())
    assert sorted(file.name for file in (tmp_path / "s/snapshots").iterdir()) == names
    for name in names:
        with np.load(whole[0] / "snapshots" / name) as one, np.load(tmp_path / "s/snapshots" / name) as other:
            assert one.files == other.files
            for key in one.files:
                np.testing.assert_array_equal(one[key], other[key])


def test_a_run_that_does_not_fit_alone_is_told_in_a_line(sweep, monkeypatch):
    short_of_memory(monkeypatch, most=0)
    with pytest.raises(gd.OutOfMemoryError, match=r"memory: a single run does not fit, .* MiB; allowed: a smaller"):
        gd.run(sweep, progress=False)


def test_a_batch_that_is_over_before_a_snapshot_has_none_of_its_runs_in_it(sweep, tmp_path):
    base = sweep.base.replace(stop=(gd.When(variable="train_accuracy", threshold=0.0, records=2),))
    ds = gd.run(gd.Sweep(base, sweep.axes), out=tmp_path / "s", progress=False)
    assert (ds.stopped_at == 10).all()
    found = gd.probe(tmp_path / "s", ["weight_norm"])
    np.testing.assert_array_equal(
        found.weight_norm.notnull().all(["weight_decay", "train_fraction", "seed"]), found.step == 0
    )
    with pytest.raises(gd.StoreError, match="run 3 was over before step 25"):
        gd.fork(tmp_path / "s", run=3, step=25, change={})


def test_lanes_move_to_devices_that_have_few_left(tmp_path, monkeypatch):
    base = gd.Sweep.from_toml(SPEC).base.replace(snapshots=(), steps=200)
    # Of every two runs the second diverges at once, and they were dealt to two devices in turn.
    uneven = gd.Sweep(base, {"seed": range(7), "optimizer.learning_rate": [1e-3, 1e30]})
    whole, counted, advanced = gd.run(uneven, progress=False), [], Batch.advanced

    def noted(self, stretches, due):
        counted.append(self.placement()[1].tolist())
        return advanced(self, stretches, due)

    monkeypatch.setattr(Batch, "advanced", noted)
    monkeypatch.setattr("grokdyn.engine.loop.batch.OPERATIONS_PER_BYTE", 1e-3)
    with monkeypatch.context() as patch:
        cut_after(patch, 9)
        with pytest.raises(CutError):
            gd.run(uneven, out=tmp_path / "s", progress=False, checkpoint_seconds=0)
    assert gd.resume(tmp_path / "s", progress=False).identical(whole)
    assert counted[0] == [7, 7]
    assert counted[-1] == [4, 3]
    assert (whole.status.values == [0, 1]).all()


def test_a_fork_without_changes_goes_on_with_the_same_bits(whole):
    path, ds = whole
    run = {"weight_decay": 1.0, "train_fraction": 0.5, "seed": 1}
    same = gd.fork(path, run=run, step=20, change={})
    np.testing.assert_array_equal(same.weight_norm, ds.weight_norm.sel(run).sel(step=same.step))
    assert same.step.values.tolist() == [20, 30, 40, 50, 60]
    other = gd.fork(path, run=9, step=25, change={"optimizer.weight_decay": [0.0, 1.0, 30.0]})
    assert other.sizes["weight_decay"] == 3
    np.testing.assert_array_equal(other.weight_norm.sel(weight_decay=1.0), ds.weight_norm.sel(run).sel(step=other.step))
    assert float(other.weight_norm.sel(weight_decay=30.0)[-1]) < float(other.weight_norm.sel(weight_decay=0.0)[-1])


def test_a_fork_can_have_a_store_of_its_own_and_be_resumed(whole, tmp_path, monkeypatch):
    change = {"optimizer.weight_decay": [0.0, 5.0]}
    plain = gd.fork(whole[0], run=3, step=20, change=change)
    with monkeypatch.context() as patch:
        cut_after(patch, 3)
        with pytest.raises(CutError):
            gd.fork(whole[0], run=3, step=20, change=change, out=tmp_path / "f")
    np.testing.assert_array_equal(gd.resume(tmp_path / "f", progress=False).train_loss, plain.train_loss)


def test_a_fork_is_probed_and_run_on_from_like_any_store(sweep, tmp_path):
    few = gd.Sweep(sweep.base.replace(batch_size=5), {"task.train_fraction": [0.3, 0.7]})
    ds = gd.run(few, out=tmp_path / "s", progress=False).sel(train_fraction=0.3)
    gd.fork(tmp_path / "s", run=0, step=20, change={}, out=tmp_path / "f")
    found = gd.probe(tmp_path / "f", ["weight_norm"])
    assert found.step.values.tolist() == [20, 25, 60]
    np.testing.assert_array_equal(found.weight_norm.sel(step=[20, 60]), ds.weight_norm.sel(step=[20, 60]))
    again = gd.fork(tmp_path / "f", run=0, step=25, change={})
    np.testing.assert_array_equal(again.weight_norm, ds.weight_norm.sel(step=again.step))
    with pytest.raises(gd.SpecError, match="step: got 0; allowed: one of the snapshots: 20, 25, 60"):
        gd.fork(tmp_path / "f", run=0, step=0, change={})


def test_a_fork_goes_on_in_another_dtype(whole, tmp_path):
    gd.fork(whole[0], run=9, step=20, change={"dtype": "float64"}, out=tmp_path / "wide")
    narrow = gd.fork(tmp_path / "wide", run={}, step=25, change={"dtype": "float32"})
    before, first, last = (
        list(read_snapshot(path, 0, step, {})[0].values())
        for path, step in ((whole[0], 20), (tmp_path / "wide", 20), (tmp_path / "wide", 60))
    )
    floats = [leaf.dtype.kind == "f" for leaf in before]
    assert any(floats)
    for old, new, trained, real in zip(before, first, last, floats, strict=True):
        assert new.dtype == trained.dtype == ("float64" if real else old.dtype)
        np.testing.assert_array_equal(new[0], old[9])
    assert any((leaf != leaf.astype(np.float32)).any() for leaf in last)
    np.testing.assert_allclose(narrow.train_loss, whole[1].train_loss.values.reshape(12, -1)[9, 3:], rtol=1e-4)


def test_a_fork_takes_optimizers_that_make_the_same_of_their_state(sweep, tmp_path):
    base = sweep.base.replace(optimizer=gd.SGD(momentum=0.9))
    ds = gd.run(base, out=tmp_path / "s", progress=False)
    sam = gd.fork(tmp_path / "s", run=0, step=20, change={"optimizer": [gd.SAM(inner=gd.SGD(momentum=0.9), rho=0.0)]})
    np.testing.assert_allclose(sam.train_loss[0], ds.train_loss.sel(step=sam.step), rtol=1e-5)
    told = r"optimizer: got '\w+'; allowed: one that goes on with what sgd remembers"
    for change in ({"optimizer": "lion"}, {"optimizer": [gd.SGD(), gd.PerpGrad(inner=gd.Lion())]}):
        with pytest.raises(gd.SpecError, match=told):
            gd.fork(tmp_path / "s", run=0, step=20, change=change)


def test_mistakes_of_a_fork_are_told(whole):
    path = whole[0]
    for arguments, told in (
        ({"run": 99, "step": 20, "change": {}}, "run: got 99"),
        ({"run": {"seed": 0}, "step": 20, "change": {}}, "run.weight_decay: got nothing"),
        ({"run": 0, "step": 21, "change": {}}, "step: got 21"),
        ({"run": 0, "step": 20, "change": {"optimizer.decay": 1}}, "optimizer.decay"),
        ({"run": 0, "step": 20, "change": {"model.hidden": (9,)}}, "another structure"),
    ):
        with pytest.raises(gd.SpecError, match=told):
            gd.fork(path, **arguments)


def test_snapshots_are_probed_without_training(whole):
    path, ds = whole
    found = gd.probe(path, ["weight_norm", gd.DistanceFromInit()])
    np.testing.assert_array_equal(found.weight_norm.sel(step=[0, 20, 60]), ds.weight_norm.sel(step=[0, 20, 60]))
    assert (found.distance_from_init.sel(step=0) == 0).all()
    assert (found.distance_from_init.sel(step=60) > 0).all()
    with pytest.raises(gd.SpecError, match="did you mean 'weight_norm'"):
        gd.probe(path, ["wieght_norm"])


def test_stopped_runs_equal_the_rule_applied_afterwards(sweep):
    base = sweep.base.replace(steps=400, record=gd.Every(10), snapshots=())
    rule = gd.When(variable="train_accuracy", threshold=0.8, records=2, extra_steps=15)
    plain = gd.run(gd.Sweep(base, sweep.axes), progress=False)
    stopped = gd.run(gd.Sweep(base.replace(stop=(rule,)), sweep.axes), progress=False)
    ends = stopped.stopped_at.where(stopped.stopped_at >= 0, 10**9)
    assert (stopped.stopped_at >= 0).any()
    for name in ("train_loss", "weight_norm", "test_accuracy"):
        np.testing.assert_array_equal(stopped[name], plain[name].where(plain.step <= ends))
    for at in np.ndindex(*stopped.stopped_at.shape):
        records = {"train_accuracy": plain.train_accuracy.values[at]}
        place = rule.stops_at(plain.step.values, records)
        assert stopped.stopped_at.values[at] == (-1 if place is None else plain.step.values[place])


def test_a_stalled_run_ends_and_a_rule_needs_its_variable(sweep):
    rule = gd.Stalled(fitted_at=0.5, by=0.5, within=100)
    base = sweep.base.replace(steps=400, record=gd.Every(10), snapshots=(), stop=(rule,))
    ds = gd.run(base, progress=False)
    fitted = int(gd.analysis.first_step(ds, "train_accuracy", 0.5).first_step)
    assert fitted + 100 <= int(ds.stopped_at) <= 300
    with pytest.raises(gd.SpecError, match=r"stop\[0\]: got 'test_acuracy'"):
        gd.run(base.replace(stop=(gd.When(variable="test_acuracy"),)))


CODE = """
import sys, time
import grokdyn as gd
from grokdyn.engine.loop.batch import Batch

advance = Batch.advance

def slowly(batch):
    time.sleep(0.5)
    advance(batch)

Batch.advance = slowly
gd.run(gd.Sweep.from_toml(open(sys.argv[1]).read()), out=sys.argv[2], checkpoint_seconds=0, progress=False)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_is_killed_leaves_a_store_that_resumes(how, whole, tmp_path):
    """It rests before every chunk, so that a kill finds it half way."""
    (tmp_path / "spec.toml").write_text(SPEC)
    command = [sys.executable, "-c", CODE, str(tmp_path / "spec.toml"), str(tmp_path / "s")]
    with processes_alike():
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        for _ in range(6000):
            time.sleep(0.01)
            if any(int(file.stem) > 0 for file in checkpoints(tmp_path / "s")):
                break
        process.send_signal(how)
        assert process.wait(60) != 0
        assert 0 < int(checkpoints(tmp_path / "s")[-1].stem) < 60
        assert gd.resume(tmp_path / "s", progress=False).identical(whole[1])
