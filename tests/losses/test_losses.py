"""Losses against their formulas in float64 numpy, gradients against finite differences of those."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.spec.kinds import kind_of
from tests import cases
from tests.contract import assert_numbers_are_traced

pytestmark = pytest.mark.usefixtures("x64")
CLASSES = 11


def cross_entropy(loss, z, y):
    z = z / (loss.temperature or 1.0)
    log_p = z - z.max(axis=1, keepdims=True)
    log_p = log_p - np.log(np.sum(np.exp(log_p), axis=1, keepdims=True))
    target = (1 - (loss.label_smoothing or 0.0)) * np.eye(CLASSES)[y] + (loss.label_smoothing or 0.0) / CLASSES
    return -np.sum(target * log_p, axis=1)


def stablemax(loss, z, y):
    s = np.where(z >= 0, z + 1, 1 / (1 - np.minimum(z, 0)))
    return -np.log(s[np.arange(len(y)), y] / np.sum(s, axis=1))


def mse(loss, z, y):
    squares = (z - np.eye(CLASSES)[y]) ** 2
    return squares.mean(axis=1) if loss.reduction == "mean" else squares.sum(axis=1)


TWINS = {"cross_entropy": cross_entropy, "stablemax": stablemax, "mse": mse}
WIDE = [
    loss
    for loss in cases.LOSSES
    if kind_of(loss) in TWINS and getattr(loss, "precision", "float32") in ("float32", "float64")
]


def precision_of(loss, dtype):
    return getattr(loss, "precision", dtype)


def exact_rows(loss, z, y):
    return TWINS[kind_of(loss)](loss, z, y)


def examples(scale, rows=40):
    rng = np.random.default_rng(0)
    return scale * rng.normal(size=(rows, CLASSES)), rng.integers(0, CLASSES, rows)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", WIDE, ids=kind_of)
def test_a_loss_is_its_formula(loss, dtype, scale):
    z, y = examples(scale)
    z = z.astype(dtype)
    found = jax.jit(loss.rows)(jnp.asarray(z), jnp.asarray(y, jnp.int32))
    exact = exact_rows(loss, z.astype("float64"), y)
    # A few roundings of numbers as large as the logits (squared for a square).
    eps = np.finfo(precision_of(loss, dtype)).eps
    size = np.abs(z).max() + np.log(CLASSES)
    np.testing.assert_allclose(found, exact, rtol=20 * eps, atol=4 * eps * size)
    assert found.shape == y.shape


def finite_differences(function, z, y, h=1e-5):
    """Return d(sum of rows)/dz by central differences; the error is h^2 plus rounding / h, below 1e-9 here."""
    gradient = np.zeros_like(z)
    for k in range(z.shape[1]):
        step = np.zeros_like(z)
        step[:, k] = h
        gradient[:, k] = (function(z + step, y) - function(z - step, y)) / (2 * h)
    return gradient


@pytest.mark.parametrize("loss", WIDE, ids=kind_of)
def test_gradients_are_finite_differences(loss):
    z, y = examples(1.0)
    found = jax.jit(jax.grad(lambda z: jnp.sum(loss.rows(z, jnp.asarray(y, jnp.int32)))))(jnp.asarray(z))
    eps = np.finfo(precision_of(loss, "float64")).eps
    exact = finite_differences(lambda z, y: exact_rows(loss, z, y), z, y)
    np.testing.assert_allclose(found, exact, rtol=0, atol=max(1e-9, 20 * eps))


def test_mse_is_a_mean_over_classes():
    zero = jnp.zeros((3, CLASSES))
    np.testing.assert_allclose(gd.MSE().rows(zero, jnp.arange(3)), 1 / CLASSES, rtol=1e-15)
    ones = jnp.ones((1, 4))
    np.testing.assert_allclose(gd.MSE().rows(3 * ones, jnp.asarray([2])), (3 * 9 + 4) / 4, rtol=1e-15)


@pytest.mark.parametrize("loss", cases.cases("loss"))
def test_a_loss_and_its_gradient_stay_finite_for_extreme_logits(loss):
    top = 1e15 if loss in WIDE else 3e4  # float16 ends at 65504
    z = np.zeros((4, CLASSES), np.float32)
    z[1], z[2:, 0] = 1.0, (top, -top)
    value, gradient = jax.jit(jax.value_and_grad(lambda z: jnp.sum(loss.rows(z, jnp.zeros(4, jnp.int32)))))(z)
    assert np.isfinite(value)
    assert np.all(np.isfinite(gradient))


@pytest.mark.parametrize("loss", cases.cases("loss"))
def test_numbers_of_a_loss_are_traced(loss):
    z, y = examples(1.0)
    assert_numbers_are_traced(lambda loss: loss.rows(jnp.asarray(z, jnp.float32), jnp.asarray(y)), loss)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", cases.cases("loss"))
def test_a_loss_keeps_its_dtype(loss, dtype):
    """The gradient has the logits' dtype; losses are float32, or float64 where that is computed in."""
    z, y = examples(1.0)
    z = jnp.asarray(z, dtype)
    value, gradient = jax.eval_shape(jax.value_and_grad(lambda z: jnp.sum(loss.rows(z, jnp.asarray(y)))), z)
    assert gradient.dtype == dtype
    assert value.dtype in (("float32", "float64") if dtype == "float64" else (getattr(loss, "precision", dtype), dtype))
