"""What every model offers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from tests import cases
from tests.contract import arrays, assert_dtype, assert_numbers_are_traced

pytestmark = pytest.mark.usefixtures("x64")
TASK = gd.ModularArithmetic(p=5)
MOST = 50  # rows


def task_of(model):
    """Return the task that a model is tried on: tokens, where it takes them."""
    return cases.home(model).get("task", TASK)


def evaluated(model, dtype="float32"):
    """Return the parameters of step 0 and the network's output on some rows of the table."""
    task = task_of(model)
    params, state = (
        model.start(jax.random.key(0), task.signature(), dtype),
        model.initial_state(task.signature(), dtype),
    )
    return params, model.forward(params, jnp.asarray(task.table().inputs[:MOST]), state=state)


@pytest.mark.parametrize("model", cases.cases("model"))
def test_numbers_of_a_model_are_traced(model):
    assert_numbers_are_traced(evaluated, model)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("model", cases.cases("model"))
def test_a_model_keeps_its_dtype(model, dtype):
    params, output = jax.eval_shape(lambda model: evaluated(model, dtype), arrays(model))
    assert_dtype((params, output), dtype)
    signature = task_of(model).signature()
    assert output.logits.shape == (min(signature.rows, MOST), signature.outputs)


@pytest.mark.as_users
@pytest.mark.parametrize("model", cases.cases("model"))
def test_a_network_starts_the_same_in_every_dtype_and_its_scale_multiplies(model):
    key, signature = jax.random.key(0), task_of(model).signature()

    @jax.jit
    def both(model):
        return tuple(model.start(key, signature, dtype) for dtype in ("float64", "float32"))

    wide, narrow = jax.device_get(both(arrays(model)))
    double, _ = both(arrays(model.replace(init_scale=2 * model.init_scale)))
    assert all(np.array_equal(np.float32(wide[name]), narrow[name]) for name in wide)
    assert all(np.array_equal(2 * wide[name], double[name]) for name in wide)


@pytest.mark.parametrize("model", cases.cases("model"))
def test_the_scale_of_the_output_multiplies_and_measured_rows_do_not_see_each_other(model):
    key, task = jax.random.key(0), task_of(model)
    signature, inputs = task.signature(), task.table().inputs[:MOST]
    state = model.initial_state(signature, "float64")

    @jax.jit
    def both(model):
        params = model.start(key, signature, "float64")
        return [model.forward(params, jnp.asarray(rows), state=state).logits for rows in (inputs, inputs[3:9])]

    logits, part = jax.device_get(both(arrays(model)))
    loud, _ = both(arrays(model.replace(output_scale=2 * model.output_scale)))
    tolerance = {"rtol": 1e-12, "atol": 1e-13 * np.abs(logits).max()}
    np.testing.assert_allclose(part, logits[3:9], **tolerance)
    np.testing.assert_allclose(loud, 2 * logits, **tolerance)
