"""perpGrad: the released code's numbers, its geometry, and what it does where that code divides zero by zero."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import grokdyn as gd
from grokdyn import perpgrad

SHAPES = {"a": (3, 5), "b": (7,), "c": (2, 2, 2)}


@pytest.fixture(params=[True, False], ids=["x64", "x32"])
def mode(request):
    """Run with and without 64-bit numbers: sums then run in float64 and in float32."""
    with jax.enable_x64(request.param):
        yield


both_modes = pytest.mark.usefixtures("mode")


def tree(seed, scale=1.0, dtype="float32"):
    rng = np.random.default_rng(seed)
    return {name: (scale * rng.normal(size=shape)).astype(jnp.dtype(dtype)) for name, shape in SHAPES.items()}


@lru_cache
def compiled(**options):
    transform = perpgrad(**options)
    return jax.jit(lambda g, w: transform.update(g, transform.init(w), w)[0])


def apply(g, w, **options):
    return compiled(**options)(g, w)


def flat(tensors):
    return np.concatenate([np.ravel(np.asarray(x, np.float64)) for x in jax.tree.leaves(tensors)])


def released(w, g, rescale=True):
    """The released code, on one vector in float64."""
    g_perp = g - np.dot(w, g) / (np.dot(w, w) + 1e-30) * w
    return g_perp * np.linalg.norm(g) / (np.linalg.norm(g_perp) + 1e-30) if rescale else g_perp


@both_modes
@pytest.mark.parametrize("rescale", [True, False])
def test_per_tensor_is_the_released_code(rescale):
    w, g = tree(0), tree(1)
    found = apply(g, w, rescale=rescale)
    for name in SHAPES:
        exact = released(flat(w[name]), flat(g[name]), rescale)
        np.testing.assert_allclose(flat(found[name]), exact, atol=1e-6)
        assert found[name].shape == g[name].shape
        assert found[name].dtype == g[name].dtype


@both_modes
@pytest.mark.parametrize("rescale", [True, False])
def test_global_takes_all_parameters_as_one_vector(rescale):
    w, g = tree(0), tree(1)
    found = apply(g, w, scope="global", rescale=rescale)
    np.testing.assert_allclose(flat(found), released(flat(w), flat(g), rescale), atol=1e-6)
    assert abs(np.dot(flat(found["b"]), flat(w["b"]))) > 1e-3, "only the whole is orthogonal"


@both_modes
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**31),
    gradient=st.floats(-30, 25),
    weights=st.floats(-30, 25),
    lean=st.floats(0, 6),
    scope=st.sampled_from(["tensor", "global"]),
)
def test_geometry(seed, gradient, weights, lean, scope):
    """Orthogonal, of the gradient's norm, and unchanged the second time, at any size and up to nearly parallel."""
    w = tree(seed, 10.0**weights)
    # A gradient along w, and a part of relative size 10^-lean in a random direction.
    beside = tree(seed + 1, 10.0 ** (gradient - lean))
    along = {name: w[name].astype(np.float64) * 10.0 ** (gradient - weights) for name in SHAPES}
    g = {name: (along[name] + beside[name]).astype(np.float32) for name in SHAPES}
    found = apply(g, w, scope=scope)
    again = apply(found, w, scope=scope)
    trees = (g, w, found, again)
    parts = [trees] if scope == "global" else [[x[name] for x in trees] for name in SHAPES]
    for part in parts:
        exponents = (gradient, weights, gradient, gradient)
        g_part, w_part, once, twice = (flat(x) / 10.0**e for x, e in zip(part, exponents, strict=True))
        if not once.any():
            assert lean > 5.5, "only a gradient parallel to within rounding is dropped"
            continue
        norms = np.linalg.norm(g_part), np.linalg.norm(w_part)
        assert abs(np.dot(once, w_part)) <= 2e-6 * norms[0] * norms[1]
        np.testing.assert_allclose(np.linalg.norm(once), norms[0], rtol=2e-6)
        np.testing.assert_allclose(twice, once, atol=2e-6 * norms[0])


@both_modes
@pytest.mark.parametrize(
    "options", [{}, {"rescale": False}, {"scope": "global"}, {"scope": "global", "rescale": False}]
)
def test_degenerate_cases_are_defined(options):
    w, g = tree(0), tree(1)
    zero = jax.tree.map(np.zeros_like, w)
    assert not flat(apply(zero, w, **options)).any(), "a zero gradient"
    assert np.array_equal(flat(apply(g, zero, **options)), flat(g)), "zero weights"
    for factor in (1.0, -0.3, 1e-20, 1e20, np.pi):
        parallel = jax.tree.map(lambda w, factor=factor: w * np.float32(factor), w)
        assert not flat(apply(parallel, w, **options)).any(), "a parallel gradient"
    one = {"x": jnp.asarray([3.0])}
    assert not flat(apply({"x": jnp.asarray([2.0])}, one, **options)).any(), "a tensor of one entry"
    assert flat(apply({"x": jnp.asarray([2.0])}, {"x": jnp.zeros(1)}, **options)) == 2.0
    assert apply({}, {}, **options) == {}


@both_modes
def test_a_nearly_parallel_gradient_keeps_its_direction():
    """Ten units of rounding beside the weights: still a direction, and the one that is asked for."""
    w = jnp.asarray([1.0, 1.0, 1.0, 1.0], jnp.float32)
    v = jnp.asarray([1.0, -1.0, 1.0, -1.0], jnp.float32)
    found = apply({"x": w + 10 * 2.0**-23 * v}, {"x": w})["x"]
    np.testing.assert_allclose(found, v, rtol=1e-5)
    assert not flat(apply({"x": w + 2.0**-23 * v}, {"x": w})).any()


@both_modes
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_narrow_parameters_keep_their_dtype(dtype):
    w, g = tree(0, dtype=dtype), tree(1, dtype=dtype)
    found = apply(g, w)
    assert {x.dtype for x in found.values()} == {jnp.dtype(dtype)}
    for name in SHAPES:
        np.testing.assert_allclose(flat(found[name]), released(flat(w[name]), flat(g[name])), atol=0.03)
    assert not flat(apply(jax.tree.map(lambda w: w * jnp.asarray(0.3, dtype), w), w)).any()


@both_modes
def test_it_chains_with_optax_under_jit_and_vmap():
    optimizer = optax.chain(perpgrad(), optax.sgd(0.1))
    w, g = tree(0), tree(1)

    def step(w, g):
        return optax.apply_updates(w, optimizer.update(g, optimizer.init(w), w)[0])

    one = jax.jit(step)(w, g)
    for name in SHAPES:
        step_exact = flat(w[name]) - 0.1 * released(flat(w[name]), flat(g[name]))
        np.testing.assert_allclose(flat(one[name]), step_exact, atol=1e-6)
    two = jax.tree.map(lambda a, b: np.stack([a, b]), (w, g), (tree(2), tree(3)))
    both = jax.jit(jax.vmap(step))(*two)
    np.testing.assert_allclose(flat(jax.tree.map(lambda x: x[0], both)), flat(one), atol=1e-6)
    np.testing.assert_allclose(flat(jax.tree.map(lambda x: x[1], both)), flat(step(tree(2), tree(3))), atol=1e-6)


def test_mistakes_are_told():
    with pytest.raises(ValueError, match="scope: got 'layer'"):
        perpgrad(scope="layer")
    with pytest.raises(ValueError, match="needs the parameters"):
        perpgrad().update(tree(0), optax.EmptyState())


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("inner", [gd.SGD(learning_rate=0.1, momentum=0.8), gd.AdamW(learning_rate=0.1), gd.Lion()])
def test_the_spec_is_the_transform_before_its_inner_optimizer(inner):
    w, g = tree(0), tree(1)
    spec = gd.PerpGrad(inner=inner, scope="global", rescale=False).transform()
    parts = optax.chain(perpgrad("global", rescale=False), inner.transform())
    state, other = spec.init(w), parts.init(w)
    for _ in range(3):
        moved, state = spec.update(g, state, w)
        expected, other = parts.update(g, other, w)
        assert np.array_equal(flat(moved), flat(expected))
        w = optax.apply_updates(w, moved)


def test_a_file_names_it_with_its_inner_optimizer():
    text = """
    steps = 1
    [task]
    kind = "modular"
    [model]
    kind = "mlp"
    [loss]
    kind = "stablemax"
    [optimizer]
    kind = "perpgrad"
    scope = "global"
    [optimizer.inner]
    kind = "sgd"
    learning_rate = 10.0
    """
    optimizer = gd.Experiment.from_toml(text).optimizer
    assert optimizer == gd.PerpGrad(inner=gd.SGD(learning_rate=10.0), scope="global")


@both_modes
@pytest.mark.parametrize("scope", ["tensor", "global"])
@pytest.mark.parametrize("weights", ["float32", "float16", "float64"])
def test_strict_promotion_and_mixed_types(scope, weights):
    """Every tensor comes out in the type of its gradient, whatever the weights and the other tensors have."""
    g, w = tree(0), tree(1, dtype=weights)
    g["a"], g["b"] = jnp.asarray(g["a"], "bfloat16"), jnp.asarray(g["b"], "float16")
    transform = perpgrad(scope)
    with jax.numpy_dtype_promotion("strict"):
        found = jax.jit(lambda g, w: transform.update(g, transform.init(w), w)[0])(g, w)
    assert [found[name].dtype for name in SHAPES] == ["bfloat16", "float16", "float32"]
    groups = [list(SHAPES)] if scope == "global" else [[name] for name in SHAPES]
    for names in groups:
        exact = released(flat([w[name] for name in names]), flat([g[name] for name in names]))
        np.testing.assert_allclose(flat([found[name] for name in names]), exact, atol=0.03)


@pytest.mark.parametrize(
    ("g", "w", "told"),
    [
        (np.ones(3, int), np.ones(3, "float32"), r"updates: got int\d+ \[3\] and float32 \[3\]"),
        (np.ones(3, "complex64"), np.ones(3, "complex64"), r"updates: got complex64 \[3\]"),
        (
            np.ones(3, "float32"),
            np.ones((3, 1), "float32"),
            r"float32 \[3, 1\] .*allowed: floats of one shape",
        ),
    ],
)
def test_what_cannot_be_projected_is_refused(g, w, told):
    with pytest.raises(ValueError, match=told):
        perpgrad().update({"a": g}, optax.EmptyState(), {"a": w})
