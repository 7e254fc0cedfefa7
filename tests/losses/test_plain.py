"""The losses that plain JAX code calls: float64 twins, labels out of range, types kept, strict promotion."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn import cross_entropy, stablemax_cross_entropy

LOSSES = {
    "cross_entropy": cross_entropy,
    "smoothed": lambda z, y: cross_entropy(z, y, label_smoothing=0.2),
    "stablemax": stablemax_cross_entropy,
}
DTYPES = ("float16", "bfloat16", "float32", "float64")
every_loss = pytest.mark.parametrize("name", LOSSES)
pytestmark = pytest.mark.usefixtures("x64")


def twin(name, z, y):
    """Return losses and d loss / d z of rows in float64."""
    z, target = np.asarray(z, np.float64), np.eye(z.shape[1])[y]
    if name == "stablemax":
        s = np.where(z < 0, 1 / (1 - np.minimum(z, 0)), z + 1)
        slope = np.where(z < 0, s**2, 1.0)
        return -np.log(s[target > 0] / s.sum(1)), slope / s.sum(1, keepdims=True) - target * slope / s
    if name == "smoothed":
        target = 0.8 * target + 0.2 / z.shape[1]
    e = np.exp(z - z.max(1, keepdims=True))
    p = e / e.sum(1, keepdims=True)
    return -np.sum(target * np.log(p), axis=1), p - target


def rows(dtype="float32", count=12, classes=7):
    rng = np.random.default_rng(3)
    z = (2 * rng.normal(size=(count, classes))).astype(jnp.dtype(dtype))
    return jnp.asarray(z), jnp.asarray(rng.integers(0, classes, count))


def value_and_gradient(loss, z, y):
    """Return losses, and the gradient of their sum, which is taken in float64."""

    def total(z):
        losses = loss(z, y)
        return jnp.sum(losses.astype("float64")), losses

    gradient, losses = jax.jit(jax.grad(total, has_aux=True))(z)
    return losses, gradient


@pytest.mark.as_users
@every_loss
@pytest.mark.parametrize("dtype", DTYPES)
def test_values_and_gradients_are_the_twins_in_the_type_that_came(name, dtype):
    with jax.numpy_dtype_promotion("strict"):
        z, y = rows(dtype)
        found, gradient = value_and_gradient(LOSSES[name], z, y)
        together = jax.jit(jax.vmap(LOSSES[name]))(z, y)
    assert found.dtype == gradient.dtype == together.dtype == dtype
    losses, slopes = twin(name, z, y)
    eps = float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(np.asarray(found, "float64"), losses, rtol=8 * eps)
    np.testing.assert_allclose(np.asarray(gradient, "float64"), slopes, rtol=8 * eps, atol=2 * eps)
    np.testing.assert_array_equal(together, found)


@every_loss
def test_a_label_out_of_range_gives_nan_in_value_and_gradient_of_its_row_alone(name):
    z, y = rows(count=5)
    labels = np.array(y)
    labels[[1, 3]] = 7, -1

    @jax.jit
    def both(labels):
        value, pull = jax.vjp(lambda z: LOSSES[name](z, labels), z)
        return value, pull(jnp.ones_like(value))[0]

    (value, gradient), (plain, _) = both(labels), both(np.asarray(y))
    np.testing.assert_array_equal(np.isnan(value), [False, True, False, True, False])
    np.testing.assert_array_equal(np.isnan(gradient), np.repeat(np.isnan(value)[:, None], 7, axis=1))
    np.testing.assert_array_equal(value[::2], plain[::2])


@pytest.mark.parametrize(
    "kind",
    ["int8", "uint32", *(pytest.param(k, marks=pytest.mark.slow) for k in ("uint8", "int32", "int64", "uint64"))],
)
def test_no_type_of_labels_wraps_around(kind):
    """With eight bits class 199 cannot be written: -57 is no name of it. Nor is 2^32 one of 0 where JAX cuts to 32."""
    top, low = np.iinfo(kind).max, np.iinfo(kind).min
    wanted = [0, 127, min(top, 199), low, low + 71, min(top, 200), top, min(top, 2**32)]
    y = np.array(wanted, object).astype(kind)
    inside = [0 <= label < 200 for label in wanted]
    for bits in (True, False):
        with jax.enable_x64(bits):
            for labels in (y, jnp.asarray(y)):
                held = inside if labels is y else [0 <= label < 200 for label in labels.tolist()]
                found = cross_entropy(jnp.zeros((8, 200), jnp.float32), labels)
                np.testing.assert_array_equal(np.isfinite(found), held)


@pytest.mark.as_users
def test_the_gradient_near_collapse_is_right_where_optax_leaves_it_wrong():
    n = 7661
    for dtype, most in (("float32", 15), ("float64", 34)):
        z, y = np.zeros((n, 5), dtype), np.zeros(n, np.int32)
        z[:, 0] = np.linspace(most - 2, most, n)
        gradient = np.asarray(jax.jit(jax.grad(lambda z, y=y: cross_entropy(z, y).mean()))(z), "float64")[:, 0]
        terms = np.exp(-z[:, 0]).astype(np.longdouble)  # the sum of what the dtype can hold
        exact = -4 * terms / (1 + 4 * terms) / n
        np.testing.assert_allclose(gradient, exact.astype("float64"), rtol=0, atol=2 * float(jnp.finfo(dtype).eps) / n)


@every_loss
def test_shapes(name):
    z, y = rows()
    loss, flat = LOSSES[name], LOSSES[name](z, y)
    np.testing.assert_array_equal(loss(z.reshape(2, 6, 7), y.reshape(2, 6)), flat.reshape(2, 6))
    assert jax.jit(loss)(z[0], y[0]).shape == ()
    assert jax.jit(loss)(z[:0], y[:0]).shape == (0,)
    np.testing.assert_array_equal(loss(np.asarray(z), y.tolist()), flat)
    with pytest.raises(gd.SpecError, match=r"labels: got int64 \[11\]; allowed: integers .*here \[12\]"):
        loss(z, y[1:])


@every_loss
@pytest.mark.parametrize(
    ("logits", "labels", "told"),
    [
        (np.ones((2, 3), int), np.zeros(2, int), r"logits: got int64 \[2, 3\]; allowed: floats"),
        ([[1, 2]], [0], r"logits: got int64 \[1, 2\]; allowed: floats"),
        (np.ones((2, 3), "complex64"), np.zeros(2, int), "logits: got complex64"),
        (np.ones((2, 0)), np.zeros(2, int), r"logits: got float64 \[2, 0\]"),
        (np.float32(1), np.int32(0), r"logits: got float32 \[\]"),
        (np.ones((2, 3)), np.zeros(2), r"labels: got float64 \[2\]; allowed: integers"),
        (np.ones((2, 3)), [True, False], r"labels: got bool \[2\]; allowed: integers"),
    ],
)
def test_what_is_no_logit_or_label_is_refused_in_a_line(name, logits, labels, told):
    with pytest.raises(gd.SpecError, match=told) as caught:
        LOSSES[name](logits, labels)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan"), "much", None])
def test_a_share_of_smoothing_is_from_0_to_1(share):
    with pytest.raises(gd.SpecError, match=r"label_smoothing: got .*; allowed: a number from 0 to 1"):
        cross_entropy(*rows(), label_smoothing=share)
    with pytest.raises(gd.SpecError, match="known when tracing"):
        jax.jit(lambda s: cross_entropy(*rows(), label_smoothing=s))(0.1)


@pytest.mark.slow
@every_loss
def test_second_derivatives_and_forward_mode_are_there(name):
    z, y = rows("float64", count=3)
    gradient = jax.grad(lambda z: LOSSES[name](z, y).sum())
    v = jnp.ones_like(z) * jnp.arange(7)
    h = 1e-6
    product = jax.jvp(gradient, (z,), (v,))[1]
    np.testing.assert_allclose(product, (gradient(z + h * v) - gradient(z - h * v)) / (2 * h), atol=1e-8)
