"""Cross-entropy by precision: really rounded under jit, forward and backward, and what softmax collapse then is."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import grokdyn as gd
from grokdyn.losses import precision as exact

pytestmark = [pytest.mark.usefixtures("x64"), pytest.mark.as_users]
NARROW = {"float16": np.dtype(np.float16), "bfloat16": np.dtype(jnp.bfloat16)}
ROWS, CLASSES = 64, 113
# Margin over the others, all equal, from which the sum of 113 exponentials is 1: 112 exp(-m) below half of the last
# bit, 2^-11, 2^-8 and 2^-24.  Terms of a float32 sum also vanish one by one, depending on the order of summation.
COLLAPSE = {"float16": (13, 13), "bfloat16": (11, 11), "float32": (20, 22), "float64": (39, 42)}


def logits_and_labels(scale=4.0, seed=0):
    rng = np.random.default_rng(seed)
    z, y = scale * rng.normal(size=(ROWS, CLASSES)), rng.integers(0, CLASSES, ROWS)
    z[: ROWS // 2, :] += 3 * scale * np.eye(CLASSES)[y[: ROWS // 2]]
    return z.astype(np.float32), y.astype(np.int32)


def fits(values, precision):
    """Return whether all values are numbers of the precision."""
    values = np.asarray(values, np.float32)
    return np.array_equal(values, values.astype(NARROW[precision]).astype(np.float32))


def gradient_of(loss, z, y):
    """Return the gradient of the mean loss over rows."""
    return jax.jit(jax.grad(lambda z: jnp.mean(loss.rows(z, jnp.asarray(y)))))(jnp.asarray(z))


@pytest.mark.parametrize("precision", NARROW)
@settings(max_examples=60, deadline=None)
@given(x=arrays.arrays(np.float32, 16, elements=st.floats(width=32, allow_nan=False, allow_subnormal=False)))
def test_rounding_is_that_of_a_cast(precision, x):
    with jax.enable_x64(True), np.errstate(over="ignore"):
        cast = x.astype(NARROW[precision]).astype(np.float32)
        # float32's own subnormals are flushed by XLA on CPU; bfloat16's are among them.
        cast[np.abs(cast) < np.finfo(np.float32).tiny] = 0
        assert np.array_equal(jax.jit(exact.round_to, static_argnums=1)(x, precision), cast)


def test_float16_rounds_ties_and_subnormals_as_numpy():
    sizes = np.ldexp(np.arange(1, 64, dtype=np.float32), -28)  # quarters of the smallest subnormal
    x = np.concatenate([sizes, np.ldexp(2049 + np.arange(8, dtype=np.float32), -1), [65504, 65519, 65520, 1e6]])
    x = np.concatenate([x, -x]).astype(np.float32)
    with np.errstate(over="ignore"):
        cast = x.astype(np.float16).astype(np.float32)
    assert np.array_equal(jax.jit(exact.round_to, static_argnums=1)(x, "float16"), cast)


@pytest.mark.parametrize("precision", NARROW)
def test_every_operation_is_rounded_under_jit(precision):
    z, y = logits_and_labels()

    @jax.jit
    def parts(z):
        z = exact.rounded(z, precision)
        shifted, exponentials, total = exact.shifted_exponentials(z, precision)
        return z, shifted, exponentials, total, exact.narrow_log_softmax(z, precision)

    for values in parts(z):
        assert fits(values, precision)
    assert not fits(np.exp(np.asarray(parts(z)[1])), precision), "exponentials that need no rounding show nothing"
    for rounding in exact.ROUNDINGS:
        loss = gd.CrossEntropy(precision=precision, rounding=rounding, label_smoothing=0.1, temperature=1.3)
        assert fits(jax.jit(loss.rows)(z, y), precision)
        assert fits(gradient_of(loss, z, y), precision)


def narrow_numpy(z, y, dtype):
    """Return losses of rows and the gradient of their mean, computed by numpy in the dtype, sums in float32."""

    def rounded(x):
        return np.asarray(x, np.float32).astype(dtype).astype(np.float32)

    shifted = rounded(rounded(z) - rounded(z).max(1, keepdims=True))
    e = rounded(np.exp(shifted))
    total = rounded(e.sum(1, keepdims=True))
    log_p = rounded(shifted - rounded(np.log(total)))
    cotangent = -np.eye(z.shape[1], dtype=np.float32)[y] * rounded(1 / len(y))
    gradient = rounded(cotangent - rounded(rounded(e / total) * cotangent.sum(1, keepdims=True)))
    # XLA on CPU flushes float32's subnormals.
    return -log_p[np.arange(len(y)), y], np.where(np.abs(gradient) < np.finfo(np.float32).tiny, 0, gradient)


@pytest.mark.parametrize("scale", [0.1, 4.0, 40.0])
@pytest.mark.parametrize("precision", NARROW)
def test_narrow_cross_entropy_is_numpys(precision, scale):
    z, y = logits_and_labels(scale)
    loss = gd.CrossEntropy(precision=precision)
    rows, gradient = narrow_numpy(z, y, NARROW[precision])
    found = np.asarray(jax.jit(loss.rows)(z, y)), np.asarray(gradient_of(loss, z, y))
    # An exponential or a logarithm at the edge of two numbers may fall on either side: a unit, and seldom.
    unit = {"float16": 2**-10, "bfloat16": 2**-7}[precision]
    for ours, theirs in zip(found, (rows, gradient), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2 * unit, atol=2.0**-23)
        assert np.mean(ours == theirs) > 0.98


def fused_numpy(z, y, dtype):
    """Return what PyTorch's kernel computes: inside in float32, its result and its gradient rounded."""
    z = z.astype(dtype).astype(np.float32)
    log_p = z - z.max(1, keepdims=True)
    log_p = (log_p - np.log(np.exp(log_p).sum(1, keepdims=True))).astype(dtype).astype(np.float32)
    cotangent = -np.eye(z.shape[1], dtype=np.float32)[y] * np.float32(1 / len(y)).astype(dtype).astype(np.float32)
    # Products of two float32 are exact in float64: a fused multiply-add.
    product = np.exp(log_p).astype(np.float64) * cotangent.sum(1, keepdims=True)
    gradient = (cotangent - product).astype(np.float32).astype(dtype)
    return -log_p[np.arange(len(y)), y], gradient.astype(np.float32)


@pytest.mark.parametrize("precision", NARROW)
def test_rounding_the_result_is_the_fused_kernel(precision):
    z, y = logits_and_labels()
    loss = gd.CrossEntropy(precision=precision, rounding="result")
    unit = {"float16": 2**-10, "bfloat16": 2**-7}[precision]
    found = jax.jit(loss.rows)(z, y), gradient_of(loss, z, y)
    for ours, theirs in zip(found, fused_numpy(z, y, NARROW[precision]), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2 * unit, atol=2.0**-23)
        assert np.mean(np.asarray(ours) == theirs) > 0.98


def test_the_fused_kernels_product_is_not_rounded_before_the_difference():
    """bfloat16 has the exponents of float32, so a fused kernel's rows come as near to collapse as float32's."""
    z, n = np.zeros((40, CLASSES), np.float32), 7661
    z[:, 0] = np.linspace(10, 19, 40)
    loss, y = gd.CrossEntropy(precision="bfloat16", rounding="result"), jnp.zeros(40, jnp.int32)
    p = np.asarray(jax.jit(lambda z: jnp.exp(-loss.rows(z, y)))(z))  # numpy's exponential ends in other bits
    found = jax.jit(jax.grad(lambda z: jnp.sum(loss.rows(z, y)) / n))(jnp.asarray(z))[:, 0]
    cotangent = np.float32(1 / n).astype(NARROW["bfloat16"]).astype(np.float64)
    np.testing.assert_allclose(found, (p - 1.0) * cotangent, rtol=2**-8, atol=0)


@pytest.mark.parametrize("smoothing", [None, 0.0])
@pytest.mark.parametrize("n", [5107, 7661, 8938, 8192])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_near_collapse_the_gradient_is_right_to_the_last_bits(precision, n, smoothing):
    """Of a mean over n rows, whose p_y / n rounds to either side: -(1 - p_y) / n, p_y = 1 / total, for every total."""
    dtype = np.dtype(precision)
    unit = float(np.finfo(dtype).eps)
    with jax.enable_x64(precision == "float64"):
        z = np.zeros((60, CLASSES), dtype)
        z[:, 1:] = -np.linspace(3.5 - np.log(unit / CLASSES), -np.log(100 * unit), 60)[:, None]
        loss, y = gd.CrossEntropy(precision=precision, label_smoothing=smoothing), jnp.zeros(60, jnp.int32)
        total = np.asarray(jax.jit(loss.sum_of_exponentials)(z), np.longdouble)
        found = np.asarray(jax.jit(jax.grad(lambda z: jnp.sum(loss.rows(z, y)) / n))(z), np.longdouble)
    assert (total == 1).any(), "no row has collapsed"
    assert (total == 1 + unit).any(), "no row is about to"
    np.testing.assert_allclose(found[:, 0], -(total - 1) / total / n, rtol=3 * unit, atol=0)
    np.testing.assert_allclose(found[:, 1:], (np.exp(z[:, 1:]) / total[:, None] / n), rtol=8 * unit, atol=0)


def test_what_rounds_before_the_difference_would_be_seen():
    """JAX's log softmax, differentiated, is several per cent off for 7661 rows just before the collapse."""
    z = np.zeros((1, CLASSES), np.float32)
    z[0, 1:] = -np.linspace(16, 40, CLASSES - 1)
    y = jnp.zeros(1, jnp.int32)
    total = np.asarray(gd.CrossEntropy().sum_of_exponentials(jnp.asarray(z)), np.float64)
    assert 1 < total < 1 + 2**-20
    found = [
        jax.jit(jax.grad(lambda z, rows=rows: jnp.sum(rows(z)) / 7661))(jnp.asarray(z))[0, 0]
        for rows in (lambda z: -jax.nn.log_softmax(z)[:, 0], lambda z: gd.CrossEntropy().rows(z, y))
    ]
    off = np.abs(found / (-(total - 1) / total / 7661) - 1)
    assert off[0] > 0.01 > 1e-6 > off[1]


@pytest.mark.parametrize("precision", exact.PRECISIONS)
def test_a_row_collapses_at_the_margin_of_its_precision(precision):
    """The sum is 1, the loss 0 and the correct logit's gradient 0, all three from the same margin on."""
    loss, margins = gd.CrossEntropy(precision=precision), np.arange(50)
    z = np.zeros((50, CLASSES), np.float32)
    z[:, 7] = margins
    y = np.full(50, 7)
    collapsed = np.asarray(jax.jit(loss.sum_of_exponentials)(z)) == 1
    first, last = COLLAPSE[precision]
    assert first <= margins[collapsed].min() <= last
    assert np.array_equal(collapsed, margins >= margins[collapsed].min())
    assert np.array_equal(collapsed, np.asarray(jax.jit(loss.rows)(z, y)) == 0)
    gradient = np.asarray(gradient_of(loss, z, y))
    assert np.array_equal(collapsed, gradient[:, 7] == 0)
    if precision not in NARROW:
        assert np.all(gradient[:, :7] > 0), "wrong logits still have a gradient"


def test_float16_gradients_end_where_its_numbers_do():
    """1/n times a probability below half of 2^-24 is 0, as in the released code, whose mean is in float16 too."""
    z = np.zeros((1000, CLASSES), np.float32)
    z[:, 0] = 11.0
    assert np.exp(-11.0) / 1000 < 2**-25 * 0.9 < np.exp(-11.0) / 100 * 0.9
    for n, learns in ((100, True), (1000, False)):
        gradient = np.asarray(gradient_of(gd.CrossEntropy(precision="float16"), z[:n], np.zeros(n, np.int32)))
        assert np.any(gradient[:, 1:]) == learns


@pytest.mark.parametrize("precision", exact.PRECISIONS)
def test_the_models_dtype_does_not_matter(precision):
    z, y = logits_and_labels()
    loss = gd.CrossEntropy(precision=precision)
    narrow, wide = jax.jit(loss.rows)(z, y), jax.jit(loss.rows)(z.astype(np.float64), y)
    assert narrow.dtype == wide.dtype == ("float64" if precision == "float64" else "float32")
    assert np.array_equal(narrow, wide)
    assert gradient_of(loss, z.astype(np.float64), y).dtype == "float64"


def test_beyond_float16_a_loss_is_not_finite():
    z = np.zeros((1, 3), np.float32)
    z[0, 1] = 7e4
    assert not np.isfinite(jax.jit(gd.CrossEntropy(precision="float16").rows)(z, np.zeros(1, np.int32)))[0]


def test_where_nothing_is_wanted_a_probability_of_zero_costs_nothing():
    z, loss = np.asarray([[6e4, -6e4, 0.0]], np.float32), gd.CrossEntropy(precision="float16")
    assert np.ptp(z) > np.finfo(np.float16).max
    value, gradient = jax.jit(jax.value_and_grad(lambda z: loss.rows(z, jnp.zeros(1, int))[0]))(z)
    assert value == 0
    assert np.array_equal(gradient, np.zeros((1, 3)))


def test_float64_is_float64_or_an_error():
    z, y = logits_and_labels()
    with jax.enable_x64(False), pytest.raises(ValueError, match="float64 needs 64-bit JAX"):
        gd.CrossEntropy(precision="float64").rows(jnp.asarray(z), jnp.asarray(y))


def test_hessian_vector_products_pass_through_narrow_losses():
    """Forward over reverse, as curvature probes take it."""
    z, y = logits_and_labels(0.5)

    @partial(jax.jit, static_argnums=0)
    def product(loss, z):
        return jax.jvp(jax.grad(lambda z: jnp.mean(loss.rows(z, y))), (z,), (z,))[1]

    products = [product(gd.CrossEntropy(precision=precision), z) for precision in ("float32", "bfloat16")]
    np.testing.assert_allclose(products[1], products[0], atol=0.05 * np.abs(products[0]).max())


@pytest.mark.slow
def test_precisions_are_one_axis_and_leave_the_users_settings_alone():
    with jax.enable_x64(False):
        experiment = gd.Experiment(
            task=gd.ModularArithmetic(p=5),
            model=gd.MLP(hidden=(8,)),
            loss=gd.CrossEntropy(),
            optimizer=gd.SGD(learning_rate=0.1),
            steps=4,
            record=gd.Every(2),
        )
        ds = gd.run(gd.Sweep(experiment, {"loss.precision": list(exact.PRECISIONS)}))
        assert jnp.ones(1).dtype == "float32"
        assert jnp.ones(1, int).dtype == "int32"
    losses = ds.train_loss.sel(step=4)
    assert ds.precision.values.tolist() == list(exact.PRECISIONS)
    assert len(set(losses.values.tolist())) == 4
    np.testing.assert_allclose(losses, losses[-1], rtol=2**-7)


@pytest.mark.parametrize("classes", [7, 113])
@pytest.mark.parametrize("scaled", [lambda z, a: z * a, lambda z, a: z / a], ids=["product", "quotient"])
def test_a_row_collapses_whatever_its_logits_were_scaled_by(scaled, classes):
    """A CPU may take a product and its subtraction as one operation: the largest less itself is 0 all the same."""
    rng = np.random.default_rng(0)
    x, W, a = rng.normal(size=(ROWS, 16)), 1e3 * rng.normal(size=(16, classes)), np.float32(1.2345)
    ahead = np.diff(np.sort(scaled(x @ W, a), axis=1)[:, -2:])[:, 0] > 60
    assert ahead.mean() > 0.8
    program = jax.jit(lambda x, W, a: exact.sum_of_exponentials(scaled(x @ W, a), "float32"))
    assert np.all(np.asarray(program(x.astype(np.float32), W.astype(np.float32), a))[ahead] == 1)


def test_no_row_with_an_infinite_logit_has_collapsed():
    z = np.array([[1.0, np.inf], [-np.inf, 2.0], [np.nan, 0.0]], np.float32)
    found = np.asarray(exact.sum_of_exponentials(jnp.asarray(z), "float32"))
    np.testing.assert_array_equal(found, [np.nan, 1, np.nan])
