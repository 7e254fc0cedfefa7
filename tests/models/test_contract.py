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


@pytest.mark.parametrize("model", cases.cases("model"))
def test_scales_and_rows_act_as_documented(model):
    """Both scales multiply, a network starts the same in every dtype, and measured rows do not see each other."""
    scaled = model.replace(init_scale=2 * model.init_scale), model.replace(output_scale=2 * model.output_scale)
    key, task = jax.random.key(0), task_of(model)
    signature, inputs = task.signature(), task.table().inputs[:MOST]
    state = model.initial_state(signature, "float64")

    @jax.jit
    def all_of(model, larger, louder):
        wide, narrow = (model.start(key, signature, dtype) for dtype in ("float64", "float32"))
        logits, part = (model.forward(wide, jnp.asarray(rows), state=state).logits for rows in (inputs, inputs[3:9]))
        loud = louder.forward(wide, jnp.asarray(inputs), state=state).logits
        return wide, narrow, larger.start(key, signature, "float64"), logits, part, loud

    wide, narrow, double, logits, part, loud = all_of(*arrays((model, *scaled)))
    assert all(np.array_equal(np.float32(wide[name]), narrow[name]) for name in wide)
    assert all(np.array_equal(2 * wide[name], double[name]) for name in wide)
    tolerance = {"rtol": 1e-12, "atol": 1e-13 * np.abs(logits).max()}
    np.testing.assert_allclose(part, logits[3:9], **tolerance)
    np.testing.assert_allclose(loud, 2 * logits, **tolerance)
