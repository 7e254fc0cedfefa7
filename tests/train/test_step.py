"""One update: its dtypes, and what happens to a run whose loss is not finite."""

import jax
import jax.numpy as jnp
import pytest

import grokdyn as gd
from grokdyn.train.lane import NON_FINITE
from grokdyn.train.step import advance, update
from tests import cases
from tests.train.lanes import taken_apart

pytestmark = pytest.mark.usefixtures("x64")
# These sum inner products over tensors in float64, or draw the tails of their noise in it, and say so.
WIDE = gd.PerpGrad | gd.NormConstraint | gd.SAM | gd.GAM | gd.GradientNoise
PLAIN = [optimizer for optimizer in cases.OPTIMIZERS if not isinstance(optimizer, WIDE)]
CHANGES = [
    *({"optimizer": optimizer} for optimizer in PLAIN),
    {"loss": gd.MSE()},
    {"batch_size": 5},
    {"batch_size": 5, "batch_replacement": True},
]


def equations(jaxpr):
    """Yield the equations of a jaxpr and of all within it."""
    for equation in jaxpr.eqns:
        yield equation
        for value in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns")):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from equations(inner)


def wide_arrays(experiment, **program):
    """Return the float64 arrays that appear inside one update."""
    run = taken_apart(experiment, **program)
    jaxpr = jax.make_jaxpr(lambda *a: update(run.program, *a))(run.lane, run.rows, run.state)
    found = [variable.aval for equation in equations(jaxpr.jaxpr) for variable in equation.outvars]
    return [aval for aval in found if aval.ndim and aval.dtype == jnp.float64]


@pytest.mark.parametrize("changes", CHANGES, ids=lambda c: "-".join(c))
def test_a_float32_update_has_no_float64_arrays(changes):
    assert wide_arrays(cases.tiny(**changes)) == []


def test_a_tiled_float32_update_has_no_float64_arrays():
    assert wide_arrays(cases.tiny(), rows=32, tile=8) == []


def test_float64_arrays_would_be_seen():
    assert len(wide_arrays(cases.tiny(dtype="float64"))) > 10
    assert len(wide_arrays(cases.tiny(loss=gd.StableMaxCrossEntropy(precision="float64")))) > 3


@pytest.mark.parametrize("stretches", [[5], [1, 4], [2, 3], [3, 0, 2]])
@pytest.mark.parametrize("changes", [{}, {"batch_size": 8}])
def test_a_run_whose_loss_is_not_finite_is_marked_with_its_first_such_step(stretches, changes):
    run = taken_apart(cases.tiny(**{"optimizer.learning_rate": 1e30}, **changes))
    stretches = jnp.asarray(stretches, jnp.int32)
    state, _ = jax.jit(lambda state: advance(run.program, run.lane, state, run.table, stretches))(run.state)
    assert (int(state.status), int(state.diverged_at), int(state.step)) == (NON_FINITE, 1, 5)


def test_a_last_update_that_breaks_the_parameters_is_marked():
    ds = gd.run(cases.tiny(**{"optimizer.learning_rate": 1e38, "steps": 1}), progress=False)
    assert int(ds.status) == NON_FINITE
    assert int(ds.diverged_at) == 1
