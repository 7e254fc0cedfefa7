"""StableMax cross-entropy: the formula, gradients at every finite logit, and plain JAX code without 64-bit mode."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from grokdyn import StableMaxCrossEntropy, stablemax_cross_entropy

EXTREMES = [0.0, -0.0, 1.0, -1.0, 1e-30, -1e-30, 0.5, 1e4, -1e4, 1e15, -1e15, 1e30, -1e30, 3e38, -3e38]


def released(z, y):
    """The released code: float64, 1e-30 in the denominator, mean left out."""
    s = np.where(z < 0, 1 / (1 - np.minimum(z, 0) + 1e-30), z + 1)
    return -np.log(s[np.arange(len(y)), y] / s.sum(1))


def exact_gradient(z, y):
    """Return d loss / d z with every term over float64 logits, as s' / sum s - [k = y] s' / s."""
    s, slope = np.where(z < 0, 1 / (1 - np.minimum(z, 0)), z + 1), np.where(z < 0, 1 / (1 - np.minimum(z, 0)) ** 2, 1)
    return slope / s.sum(1, keepdims=True) - np.eye(z.shape[1])[y] * slope / s


def examples(scale=5.0, rows=50, classes=13):
    rng = np.random.default_rng(0)
    return scale * rng.normal(size=(rows, classes)), rng.integers(0, classes, rows).astype(np.int32)


def value_and_gradient(loss, z, y):
    return jax.jit(jax.value_and_grad(lambda z: jnp.sum(loss(z, jnp.asarray(y)))))(jnp.asarray(z))


@jax.jit
def gradient_of_mean(z, y):
    return jax.grad(lambda z: stablemax_cross_entropy(z, y).mean())(z)


@pytest.mark.as_users
@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("scale", [1e-6, 1.0, 100.0, 1e8])
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_it_is_the_released_formula(precision, scale):
    z, y = examples(scale)
    z = z.astype(precision).astype("float64")
    loss = StableMaxCrossEntropy(precision=precision).rows
    eps = np.finfo(precision).eps
    found = jax.jit(loss)(jnp.asarray(z), jnp.asarray(y))
    assert found.dtype == precision
    np.testing.assert_allclose(found, released(z, y), rtol=30 * eps, atol=4 * eps)
    gradient = value_and_gradient(loss, z, y)[1]
    np.testing.assert_allclose(gradient, exact_gradient(z, y), rtol=30 * eps, atol=8 * eps * np.abs(gradient).max())


@pytest.mark.as_users
@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("own", EXTREMES)
def test_gradients_are_finite_at_every_finite_logit(precision, own):
    others = np.asarray(EXTREMES, np.float32)
    z = np.stack([np.full_like(others, own), others, np.zeros_like(others)], axis=1)
    loss = StableMaxCrossEntropy(precision=precision).rows
    _, gradient = value_and_gradient(loss, z, np.zeros(len(z), int))
    assert np.all(np.isfinite(gradient))
    exact = exact_gradient(z.astype("float64"), np.zeros(len(z), int))
    # Below 1e-38 float32 has no numbers. Where s' / s and s' / sum s nearly cancel, the difference is rounding.
    size = 8 * np.finfo(precision).eps / (1 + np.abs(z[:, :1])) + 1e-37
    assert np.all(np.abs(gradient - exact) <= 1e-5 * np.abs(exact) + size)


@pytest.mark.as_users
@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_where_a_label_has_nearly_everything_its_gradient_is_right_to_the_last_bits(precision):
    """The others' share of the sum, 6 of 2^k + 6, goes down to a dozen units of rounding; every sum here is exact."""
    k = np.arange(np.finfo(precision).nmant)
    z = np.full((len(k), 13), -1.0)
    z[:, 0] = 2.0**k - 1
    _, gradient = value_and_gradient(StableMaxCrossEntropy(precision=precision).rows, z, np.zeros(len(k), int))
    expected = -6 / (2.0**k + 6) / 2.0**k
    np.testing.assert_allclose(gradient[:, 0], expected, rtol=3 * np.finfo(precision).eps)


@pytest.mark.as_users
@pytest.mark.usefixtures("x64")
def test_infinite_logits_behave_as_limits():
    z = np.array([[0.0, -np.inf, 1.0], [-np.inf, 0.0, 1.0]])
    value, gradient = jax.jit(jax.vmap(jax.value_and_grad(lambda z: stablemax_cross_entropy(z, jnp.int32(0)))))(z)
    np.testing.assert_allclose(value[0], np.log(3))
    assert value[1] == np.inf
    assert np.all(np.isfinite(gradient))


@pytest.mark.as_users
@pytest.mark.usefixtures("x64")
def test_float64_learns_where_float32_has_ended():
    z, y = np.array([[1e9, 0.0, 0.0]], np.float32), np.zeros(1, int)
    wide, narrow = (value_and_gradient(StableMaxCrossEntropy(precision=p).rows, z, y) for p in ("float64", "float32"))
    assert wide[0] > 0 == narrow[0]
    assert wide[1][0, 0] < 0 == narrow[1][0, 0]


def test_plain_code_needs_neither_64_bits_nor_a_batch():
    with jax.enable_x64(False):
        z, y = examples()
        z = z.astype(np.float32)
        found = np.asarray(stablemax_cross_entropy(z.reshape(5, 10, 13), y.reshape(5, 10)))
        assert found.dtype == "float32"
        np.testing.assert_allclose(found.reshape(-1), released(z.astype("float64"), y), rtol=1e-5)
        assert jax.jit(stablemax_cross_entropy)(z[0], y[0]).shape == ()
        batched = jax.jit(jax.vmap(stablemax_cross_entropy))(z, y)
        np.testing.assert_allclose(batched, found.reshape(-1), rtol=1e-6)
        one = np.asarray([[1.0, -np.inf, 1.0]], np.float32)
        assert np.all(np.isfinite(gradient_of_mean(one, np.zeros(1, int))))


@pytest.mark.usefixtures("x64")
def test_plain_code_computes_in_float64_where_it_may_and_returns_the_dtype_that_came():
    z, y = examples()
    z = z.astype(np.float32)
    found = stablemax_cross_entropy(z, y)
    _, gradient = value_and_gradient(stablemax_cross_entropy, z, y)
    assert (found.dtype, gradient.dtype) == ("float32", "float32")
    exact = released(z.astype("float64"), y)
    np.testing.assert_allclose(found, exact, rtol=6e-8)
    wide = jax.jit(stablemax_cross_entropy)(z.astype("float64"), y)
    np.testing.assert_allclose(wide, exact, rtol=1e-14)
    collapsed = np.float32([[1e9, 0.0, 0.0]])  # where float32 has no gradient left
    assert gradient_of_mean(collapsed, np.zeros(1, int))[0, 0] < 0


def test_it_trains_a_classifier_in_plain_optax_code():
    with jax.enable_x64(False):
        rng = np.random.default_rng(0)
        y = np.arange(60) % 3
        x = (rng.normal(size=(60, 4)) + 3 * np.eye(4)[y]).astype(np.float32)
        optimizer, W = optax.adam(0.05), jnp.zeros((4, 3))

        def step(carry, _):
            W, state = carry
            loss, g = jax.value_and_grad(lambda W: stablemax_cross_entropy(x @ W, y).mean())(W)
            updates, state = optimizer.update(g, state, W)
            return (optax.apply_updates(W, updates), state), loss

        losses = jax.lax.scan(step, (W, optimizer.init(W)), length=200)[1]
        np.testing.assert_allclose(losses[0], np.log(3), rtol=1e-6)
        assert losses[-1] < 0.2


@pytest.mark.usefixtures("x64")
def test_second_derivatives_and_forward_mode_are_there():
    z, y = examples(1.0, rows=6)
    v, h = np.ones((6, 13)) * np.arange(13), 1e-6

    def mean(z):
        return jnp.mean(stablemax_cross_entropy(z, y))

    gradient = jax.jit(jax.grad(mean))
    along, product = jax.jit(lambda z, v: (jax.jvp(mean, (z,), (v,))[1], jax.jvp(jax.grad(mean), (z,), (v,))[1]))(z, v)
    np.testing.assert_allclose(product, (gradient(z + h * v) - gradient(z - h * v)) / (2 * h), atol=1e-8)
    np.testing.assert_allclose(along, np.vdot(gradient(z), v), rtol=1e-12)
