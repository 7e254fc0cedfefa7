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
SIGNATURE = TASK.signature()
TOKENS = TASK.table().inputs


def evaluated(model, dtype="float32"):
    """Return the parameters of step 0 and the network's output on the whole table."""
    params = model.start(jax.random.key(0), SIGNATURE, dtype)
    return params, model.forward(params, jnp.asarray(TOKENS))


@pytest.mark.parametrize("model", cases.cases("model"))
def test_numbers_of_a_model_are_traced(model):
    assert_numbers_are_traced(evaluated, model)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("model", cases.cases("model"))
def test_a_model_keeps_its_dtype(model, dtype):
    params, output = jax.eval_shape(lambda model: evaluated(model, dtype), arrays(model))
    assert_dtype((params, output), dtype)
    assert output.logits.shape == (SIGNATURE.rows, SIGNATURE.outputs)


@pytest.mark.parametrize("model", cases.cases("model"))
def test_a_model_starts_the_same_in_every_dtype_scaled_as_a_whole(model):
    wide, narrow = evaluated(model, "float64")[0], evaluated(model)[0]
    double = evaluated(model.replace(init_scale=2 * model.init_scale), "float64")[0]
    assert all(np.array_equal(np.float32(wide[name]), narrow[name]) for name in wide)
    assert all(np.array_equal(2 * wide[name], double[name]) for name in wide)


@pytest.mark.parametrize("model", cases.cases("model"))
def test_rows_do_not_see_each_other(model):
    params = model.start(jax.random.key(0), SIGNATURE, "float64")
    whole, part = (model.forward(params, jnp.asarray(rows)).logits for rows in (TOKENS, TOKENS[3:9]))
    np.testing.assert_allclose(part, whole[3:9], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("model", cases.cases("model"))
def test_output_scale_multiplies_the_logits(model):
    double = evaluated(model.replace(output_scale=2 * model.output_scale))[1]
    assert np.array_equal(double.logits, 2 * evaluated(model)[1].logits)
