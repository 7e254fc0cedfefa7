"""How many lanes a device vmaps together: chosen by trial, kept by a store, made smaller where memory is short."""

import jax
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.engine import run as engine_run
from grokdyn.engine.loop import tune
from grokdyn.engine.loop.batch import Batch
from grokdyn.engine.loop.speed import Speed
from grokdyn.engine.machines import here
from grokdyn.engine.plan import cohorts as plan
from grokdyn.engine.plan.plan import Plan
from grokdyn.engine.store import reading
from tests.engine.test_interrupted import SPEC, CutError, cut_after


@pytest.fixture
def sweep():
    return gd.Sweep.from_toml(SPEC)


def in_one_block(monkeypatch, block=3):
    """Let the engine do on a CPU what it does elsewhere: vmap lanes in blocks."""
    tuned(monkeypatch, lambda plan, found: plan.with_cohorts([c.in_blocks(block) for c in plan.cohorts]))


def tuned(monkeypatch, how):
    for module in (engine_run, here):
        monkeypatch.setattr(module, "tuned", how)


def test_the_fastest_block_that_fits_is_taken(sweep, monkeypatch):
    told = {32: 4.0, 128: 2.0, 512: 3.0}

    def speed(cohort, found):
        if cohort.block not in told:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return Speed(told[cohort.block], 0.0, 1.0, True)

    monkeypatch.setattr(tune, "speed", speed)
    many = gd.Sweep(sweep.base, {**sweep.axes, "seed": range(700)})
    with jax.enable_x64(True):
        (cohort,) = plan.cohorts(list(many.experiments()), None, jax.local_devices()[:1])
        found = tune.fastest(cohort.in_blocks(2048), [])
    assert found.block == 128
    assert all(len(lanes) % 128 == 0 for lanes in found.batches)
    assert sorted(np.unique(np.concatenate(found.batches))) == list(range(len(cohort.runs)))


def test_nothing_is_tried_on_a_cpu_or_for_a_short_sweep(sweep, monkeypatch):
    monkeypatch.setattr(tune, "speed", lambda *_: pytest.fail("tried"))
    with jax.enable_x64(True):
        planned = Plan.of(sweep, jax.local_devices())
        assert tune.tuned(planned, jax.local_devices()) is planned
        assert not any(map(tune.worth, planned.cohorts))


def test_blocks_follow_single_lanes_and_a_store_keeps_them(sweep, tmp_path, monkeypatch):
    single = gd.run(sweep, progress=False)
    in_one_block(monkeypatch)
    whole = gd.run(sweep, out=tmp_path / "whole", progress=False)
    assert reading.read_manifest(tmp_path / "whole")["cohorts"][0]["lanes_per_block"] == 3
    for name in ("train_loss", "weight_norm"):
        np.testing.assert_allclose(whole[name], single[name], rtol=1e-4)
    with monkeypatch.context() as patch:
        cut_after(patch, 3)
        with pytest.raises(CutError):
            gd.run(sweep, out=tmp_path / "s", progress=False, checkpoint_seconds=0)
    # Whatever another session would choose, the block is that of the store.
    tuned(monkeypatch, lambda plan, found: plan)
    assert gd.resume(tmp_path / "s", progress=False).identical(whole)


def test_a_batch_that_is_halved_has_smaller_blocks(sweep, monkeypatch):
    in_one_block(monkeypatch, block=6)
    begin, tried = Batch.__init__, []

    def small(self, cohort, lanes, shared, **how):
        tried.append((len(np.unique(lanes)), len(lanes), cohort.block))
        if len(lanes) > 4:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
        begin(self, cohort, lanes, shared, **how)

    monkeypatch.setattr(Batch, "__init__", small)
    assert (gd.run(sweep, progress=False).status == 0).all()
    assert tried[0] == (12, 12, 6)
    assert all(lanes <= runs + 1 for runs, lanes, _ in tried), "filling up must not undo the halving"
