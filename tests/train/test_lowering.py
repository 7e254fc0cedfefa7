"""The programs that train are lowered for devices that are not here: CUDA, ROCm and TPU, four lanes mapped together."""

import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.engine.plan import cohorts as plan
from grokdyn.spec import base
from grokdyn.train.compiled import lane_mesh, programs
from grokdyn.train.rows import train_rows
from grokdyn.train.step import update
from tests import cases

pytestmark = pytest.mark.usefixtures("x64")
PLATFORMS = ("cuda", "rocm", "tpu")
LANES = 4
# One of each kind. Random features are drawn in float64, as constants of the run, so that no dtype has others.
FEATURES = gd.RandomFeatures | gd.Bottleneck
PER_FAMILY = {type(model): model for model in reversed(cases.MODELS) if not isinstance(model, FEATURES)}.values()


def cohort_of(experiment):
    """Return the cohort of four seeds that one device maps together."""
    runs = [base.check(experiment.replace(seed=seed)) for seed in range(LANES)]
    (cohort,) = plan.cohorts(runs, None, jax.local_devices()[:1])
    return replace(cohort, block=LANES)


def shapes_of(tree):
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(np.shape(x), jnp.result_type(x)), tree)


def traced(cohort):
    """Return the program that starts runs and the one that trains and records them, traced."""
    mesh = lane_mesh(jax.local_devices()[:1])
    made = programs(cohort.program, mesh, cohort.block, cohort.experiments)
    numbers, table = shapes_of(cohort.experiments), shapes_of(cohort.table)
    lanes, states = jax.eval_shape(made.begin, numbers, table, None)
    order, counts = (jax.ShapeDtypeStruct((n,), jnp.int32) for n in (LANES, 1))
    ahead = shapes_of((cohort.stretches[0], cohort.due(cohort.schedule[0])))
    return made.begin.trace(numbers, table, None), made.advance.trace(lanes, states, order, counts, table, *ahead)


def one_update(cohort):
    """Return one update of four lanes, traced."""
    made = programs(cohort.program, lane_mesh(jax.local_devices()[:1]), LANES, cohort.experiments)
    lanes, states = jax.eval_shape(made.begin, shapes_of(cohort.experiments), shapes_of(cohort.table), None)

    def one(lane, state, table):
        table = lane.table if table is None else table
        return update(cohort.program, lane, train_rows(cohort.program, lane, table), state)

    table = shapes_of(cohort.table)
    return jax.jit(jax.vmap(one, in_axes=(0, 0, None))).trace(lanes, states, table)


def text_of(program, *platforms):
    return program.lower(lowering_platforms=platforms).as_text()


def wide(text):
    """Return the shapes of float64 arrays of more than a number a lane."""
    return {shape for shape in re.findall(r"tensor<([0-9x]+)xf64>", text) if shape != str(LANES)}


@pytest.mark.parametrize("model", PER_FAMILY, ids=lambda model: type(model).__name__)
def test_every_model_trains_in_narrow_numbers_wherever_it_is_lowered(model):
    """Of an update, only numbers of a lane, such as the correction of Adam's bias, are float64."""
    experiment = cases.tiny(model=model, probes=(gd.Loss(),), **cases.home(model))
    program, counts = one_update(cohort_of(experiment)), set()
    for platform in PLATFORMS:
        text = text_of(program, platform)
        assert not wide(text), platform
        assert "callback" not in text
        counts.add((text.count("stablehlo.dot_general"), text.count("stablehlo.scatter")))
    assert len(counts) == 1, "products or scatters differ between devices"


def test_whole_programs_with_every_probe_of_a_network_are_lowered():
    alone = [probe for probe in cases.PROBES if type(probe) not in cases.HOMES]
    kinds = {type(probe): probe for probe in reversed(alone)}
    experiment = cases.tiny()
    fitting = [probe for probe in kinds.values() if fits(experiment, probe)]
    assert len(fitting) > 25
    begin, advance = traced(cohort_of(experiment.replace(probes=tuple(fitting))))
    text = text_of(advance, *PLATFORMS)  # at once: what they do not share is a branch of it
    assert "stablehlo.while" in text
    assert "lapack" not in text + text_of(begin, *PLATFORMS)


def fits(experiment, probe):
    try:
        cohort_of(experiment.replace(probes=(probe,)))
    except gd.SpecError:
        return False
    return True
