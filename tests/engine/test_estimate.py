"""What a plan says before anything runs."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
import xarray as xr

import grokdyn as gd
from grokdyn.cli import main
from grokdyn.engine.host import memory
from grokdyn.engine.loop import speed
from grokdyn.engine.loop.batch import Batch
from grokdyn.engine.loop.estimate import estimate
from grokdyn.engine.loop.speed import cache_file, operations_per_step
from grokdyn.engine.plan import cohorts as plan
from grokdyn.engine.store.reading import read_manifest
from grokdyn.terminal import kept_told
from tests.engine.test_interrupted import SPEC


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_an_estimate_is_measured_once_and_then_remembered():
    sweep = gd.Sweep.from_toml(SPEC)
    (first,) = estimate(sweep)
    (second,) = estimate(sweep)
    assert (first.runs, first.batches, first.steps) == (12, 1, 60)
    assert first.speed.measured
    assert not second.speed.measured
    assert second.speed.run_step == first.speed.run_step > 0
    assert second.seconds == first.seconds
    assert len(json.loads(cache_file().read_text())) == 1


def test_records_are_told_apart_from_updates(monkeypatch):
    """On a clock of its own every update takes 2 s and every record 5 s, for all lanes together."""
    now, advanced = [0.0], Batch.advanced

    def told(self, stretches, due):
        now[0] += 2 * float(np.sum(stretches)) + 5 * len(stretches)
        return advanced(self, stretches, due)

    monkeypatch.setattr(Batch, "advanced", told)
    monkeypatch.setattr(speed, "time", SimpleNamespace(monotonic=lambda: now[0]))
    (found,) = estimate(gd.Sweep.from_toml(SPEC))
    lanes = min(12, speed.TRIAL_LANES * jax.local_device_count())
    assert found.speed.run_step == pytest.approx(2 / lanes)
    assert found.speed.run_record == pytest.approx(5 / lanes)
    assert found.seconds == pytest.approx(12 * (60 * 2 + found.pauses * 5) / lanes)
    assert found.recording == pytest.approx(found.pauses * 5 / (60 * 2 + found.pauses * 5))


def test_operations_are_those_of_the_matrix_products():
    base = gd.Sweep.from_toml(SPEC).base.replace(**{"model.hidden": (64, 64), "task.p": 23, "task.train_fraction": 1.0})
    (found,) = estimate(base)
    products = 2 * 529 * (64 * 64 + 64 * 23) * 3  # forward, and twice that backward
    assert products <= found.operations / found.steps <= 1.6 * products


def operations(experiment):
    return operations_per_step(plan.cohorts([experiment], None, jax.local_devices()[:1])[0])


@pytest.mark.usefixtures("x64")
def test_sam_takes_two_gradients():
    base = gd.Sweep.from_toml(SPEC).base
    assert operations(base.replace(optimizer=gd.SAM(inner=base.optimizer))) == 2 * operations(base) > 0


@pytest.mark.usefixtures("x64")
def test_adversarial_training_takes_a_gradient_for_every_step_of_its_descent():
    base = gd.Sweep.from_toml(SPEC).base.replace(task=gd.SparseParity(strings=64))
    attacked = base.replace(transforms=(gd.Adversarial(steps=3),))
    assert operations(attacked) == pytest.approx(4 * operations(base), rel=0.01)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("task", [{"task.train_fraction": 1.0}, {"task": gd.SparseParity(strings=64)}])
def test_an_update_takes_the_rows_of_its_batch(task):
    base = gd.Sweep.from_toml(SPEC).base.replace(**{"model.hidden": (64, 64)}, **task)
    few, many = (operations(base.replace(batch_size=size)) for size in (8, 24))
    assert many == pytest.approx(3 * few, rel=0.05)
    assert operations(base) > many


def test_a_plan_tells_what_is_kept_and_where_there_is_not_enough_of_it(capsys, monkeypatch, tmp_path):
    sweep = gd.Sweep.from_toml(SPEC)
    found = gd.run(sweep, progress=False)
    (planned,) = estimate(sweep)
    assert planned.results == sum(array.nbytes for array in found.data_vars.values())
    assert planned.snapshots > 0
    lines = list(kept_told(planned.results, planned.snapshots))
    assert len(lines) == 1
    assert "results: 0.0 MiB in memory, at most that on the disk, and snapshots of at most" in lines[0]
    monkeypatch.setattr(memory, "available", lambda: 10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    assert len(list(kept_told(planned.results, planned.snapshots))) == 3


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=20, free=10))
    with pytest.raises(gd.StoreError, match=r"out: .* is on a disk too small for results and snapshots of .*; allowed"):
        gd.run(gd.Sweep.from_toml(SPEC), out=tmp_path / "s", progress=False)
    assert not (tmp_path / "s").exists()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc")
def test_what_is_no_disk_is_not_told_as_a_small_one():
    with pytest.raises(gd.StoreError, match="out: cannot write to '/proc/none'"):
        gd.run(gd.Sweep.from_toml(SPEC), out="/proc/none", progress=False)


def test_a_damaged_cache_is_measured_anew():
    cache_file().parent.mkdir(parents=True)
    cache_file().write_text("{broken")
    (found,) = estimate(gd.Sweep.from_toml(SPEC))
    assert found.speed.measured


def test_what_was_planned_stands_beside_what_it_took(tmp_path, capsys):
    sweep = gd.Sweep.from_toml(SPEC)
    gd.run(sweep, out=tmp_path / "unplanned", progress=False)
    assert read_manifest(tmp_path / "unplanned")["planned_seconds"] is None
    (planned,) = estimate(sweep)
    gd.run(sweep, out=tmp_path / "s", progress=False)
    found = read_manifest(tmp_path / "s")
    assert found["planned_seconds"] == pytest.approx(planned.seconds + planned.speed.compile_seconds)
    assert found["sessions"][0]["peak_bytes"] > found["bytes_per_batch"][0] > 0
    assert main(["info", str(tmp_path / "s")]) == 0
    shown = capsys.readouterr().out
    assert "in 1 session, planned" in shown
    assert "planned for a batch" in shown


def test_plan_and_later_commands_from_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(SPEC)
    assert main(["plan", "small.toml"]) == 0
    assert "together about" in capsys.readouterr().out
    assert main(["run", "small.toml", "--out", "here", "--quiet", "--no-figures"]) == 0
    capsys.readouterr()
    assert main(["probe", "here", "--add", "logits", "gradient_norm"]) == 0
    told = capsys.readouterr()
    assert told.out == "here/probes/gradientnorm+logits.zarr\n"
    assert "train_margin" in told.err
    assert "train_margin" in xr.open_zarr(told.out.strip())
    assert main(["fork", "here", "--run", "3", "--step", "20", "--change", "optimizer.weight-decay", "[0.0, 1.0]"]) == 0
    assert gd.open("runs/fork").sizes["weight_decay"] == 2
    assert main(["info", "here", "--watch"]) == 0
    assert main(["resume", "here", "--quiet", "--no-figures"]) == 0
    for wrong in (["probe", "here", "--add", "logit"], ["fork", "here", "--run", "3", "--step", "21"]):
        capsys.readouterr()
        assert main(wrong) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
