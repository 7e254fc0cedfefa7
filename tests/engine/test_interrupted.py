"""Sweeps that are cut off, stopped, out of memory, or run on from a stored state."""

import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.engine import run as engine_run
from grokdyn.engine import store

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
    advance, left = engine_run.Batch.advance, [chunks]

    def counted(self):
        if left[0] == 0:
            raise CutError
        left[0] -= 1
        advance(self)

    monkeypatch.setattr(engine_run.Batch, "advance", counted)


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


def test_a_checkpoint_that_is_damaged_costs_time_and_nothing_else(sweep, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        cut_after(patch, 5)
        with pytest.raises(CutError):
            gd.run(sweep, out=tmp_path / "s", progress=False, checkpoint_seconds=0)
    for file in (tmp_path / "s/checkpoints").rglob("*"):
        if file.is_file() and file.stat().st_size > 100:
            file.write_bytes(file.read_bytes()[:50])
    assert gd.resume(tmp_path / "s", progress=False).identical(whole[1])


def test_what_changed_is_named_on_resuming(sweep, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        cut_after(patch, 1)
        with pytest.raises(CutError):
            gd.run(sweep, out=tmp_path / "s", progress=False)
    known = store.read_manifest(tmp_path / "s")
    store.write_manifest(tmp_path / "s", {**known, "jax": "0.0.1"})
    with pytest.raises(gd.StoreError, match=r"jax was 0\.0\.1"):
        gd.resume(tmp_path / "s", progress=False)
    assert gd.resume(tmp_path / "s", progress=False, anyway=True).status.size == 12
    text = (tmp_path / "s/spec.toml").read_text()
    (tmp_path / "s/spec.toml").write_text(text.replace("steps = 60", "steps = 61"))
    store.write_manifest(tmp_path / "s", known)
    for name in ("results.zarr",):
        (tmp_path / "s" / name).rename(tmp_path / "gone")
    with pytest.raises(gd.StoreError, match="spec was"):
        gd.resume(tmp_path / "s", progress=False)


def test_a_part_that_is_damaged_is_named(sweep, tmp_path, monkeypatch):
    gd_finish = store.finish
    monkeypatch.setattr(store, "finish", lambda *a: (_ for _ in ()).throw(CutError))
    with pytest.raises(CutError):
        gd.run(sweep, out=tmp_path / "s", progress=False)
    monkeypatch.setattr(store, "finish", gd_finish)
    part = tmp_path / "s/parts/000000.npz"
    part.write_bytes(part.read_bytes()[:-200])
    with pytest.raises(gd.StoreError, match=r"000000\.npz.*damaged"):
        gd.resume(tmp_path / "s", progress=False)
    part.unlink()
    assert (gd.resume(tmp_path / "s", progress=False).status == 0).all()


def test_a_full_disk_is_told_and_what_is_finished_stays(sweep, whole, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez_compressed", full)
        with pytest.raises(gd.StoreError, match="No space left on device"):
            gd.run(sweep.base.replace(snapshots=()), out=tmp_path / "s", progress=False)
    assert not list((tmp_path / "s").rglob("*.tmp"))
    assert gd.resume(tmp_path / "s", progress=False).status == 0


def test_halves_of_a_batch_are_trained_where_memory_is_short(sweep, whole, monkeypatch):
    begin = engine_run.Batch.__init__

    def small(self, cohort, lanes, mesh, shared):
        if len(np.unique(lanes)) > 4:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
        begin(self, cohort, lanes, mesh, shared)

    monkeypatch.setattr(engine_run.Batch, "__init__", small)
    assert gd.run(sweep, progress=False).identical(whole[1])


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
import sys
import grokdyn as gd
gd.run(gd.Sweep.from_toml(open(sys.argv[1]).read()), out=sys.argv[2], checkpoint_seconds=0.1, progress=False)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_is_killed_leaves_a_store_that_resumes(how, sweep, tmp_path):
    long = sweep.base.replace(steps=200_000, record=gd.Every(2000), snapshots=())
    (tmp_path / "spec.toml").write_text(gd.Sweep(long, {"seed": range(4)}).to_toml())
    command = [sys.executable, "-c", CODE, str(tmp_path / "spec.toml"), str(tmp_path / "s")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    for _ in range(600):
        time.sleep(0.1)
        if list((tmp_path / "s/checkpoints").glob("*/[0-9]*")):
            break
    process.send_signal(how)
    assert process.wait(60) != 0
    ds = gd.resume(tmp_path / "s", progress=False)
    assert ds.identical(gd.run(gd.Sweep(long, {"seed": range(4)}), progress=False))
