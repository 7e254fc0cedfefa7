"""Optimizers where gradients or weights are 0, tiny or huge: finite steps, none where there is nothing to follow."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import grokdyn as gd
from grokdyn.optim.base import clip_by_norm
from grokdyn.optim.muon import orthogonalised
from grokdyn.spec.kinds import kind_of
from tests import cases
from tests.contract import arrays

pytestmark = [pytest.mark.usefixtures("x64"), pytest.mark.as_users]
# A row, a column, a matrix and a vector. Only those of MATRICES tell a matrix's rows from its columns; what others do
# to entries and to whole tensors does not hang on a shape.
SHAPES = {"W_0": (1, 3), "W_1": (3, 1), "W_2": (2, 3), "b_0": (2,)}
FEW = {name: SHAPES[name] for name in ("W_2", "b_0")}
MATRICES = (gd.Muon, gd.EGD)
SIZES = (0.0, 1e-30, 1e-12, 1.0, 1e12, 1e30)
OPTIMIZERS = (
    *cases.OPTIMIZERS,
    gd.Adam(eps=0.0),
    gd.SAM(inner=gd.Adam(eps=0.0), adaptive=True),
    gd.SGD(clip_norm=0.5),
    gd.Muon(rest=gd.Adam(eps=0.0), scale="adamw"),
    gd.NormConstraint(inner=gd.SGD(), scope="tensor"),
)


def shapes_for(place):
    return SHAPES if isinstance(OPTIMIZERS[place], MATRICES) else FEW


@functools.cache
def stepped(place):
    """Return a compiled function of (weights, gradients of some steps): what every step adds."""
    optimizer = OPTIMIZERS[place]

    @jax.jit
    def run(w, g):
        transform = arrays(optimizer).transform()

        def step(state, scale):
            gradient = jax.tree.map(lambda x: x * scale, g)
            # What SAM looks at elsewhere is here the same.
            seen = optimizer.uphill(w, gradient) if isinstance(optimizer, gd.SAM) else ()
            update, state = transform.update(gradient, state, w)
            return state, (seen, update)

        return jax.lax.scan(step, transform.init(w), jnp.asarray((1.0, -0.5, 0.25), jnp.float32))[1]

    return run


def tree(size, seed, zeros, shapes=SHAPES):
    """Return tensors of entries of a size, the first tensors all zeros."""
    rng = np.random.default_rng(seed)
    found = {name: (size * rng.normal(size=shape)).astype("float32") for name, shape in shapes.items()}
    return {name: 0 * x if i < zeros else x for i, (name, x) in enumerate(found.items())}


@pytest.mark.parametrize("place", range(len(OPTIMIZERS)), ids=[f"{kind_of(o)}-{i}" for i, o in enumerate(OPTIMIZERS)])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    gradient=st.sampled_from(SIZES),
    weights=st.sampled_from(SIZES[:-1]),
    zeros=st.integers(0, 4),
    seed=st.integers(0, 2**31),
)
def test_steps_are_finite_at_every_size(place, gradient, weights, zeros, seed):
    w, g = tree(weights, seed, 0, shapes_for(place)), tree(gradient, seed + 1, zeros, shapes_for(place))
    found = stepped(place)(w, g)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))


@pytest.mark.parametrize("place", range(len(OPTIMIZERS)), ids=[f"{kind_of(o)}-{i}" for i, o in enumerate(OPTIMIZERS)])
def test_at_zero_a_zero_gradient_moves_nothing(place):
    zero = tree(0.0, 0, 4, shapes_for(place))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(stepped(place)(zero, zero)))


@pytest.mark.parametrize("size", [1e-25, 1e-3, 1.0, 1e15, 1e19, 1e25, 1e37])
def test_a_clipped_gradient_has_the_bounds_norm_at_any_size(size):
    g, bound = {name: np.asarray(x, np.float64) for name, x in tree(size, 3, 0).items()}, 0.25
    norm = np.sqrt(sum(np.sum(x**2) for x in g.values()))
    transform = clip_by_norm(bound)
    narrow = {name: jnp.asarray(x, jnp.float32) for name, x in g.items()}
    found = jax.jit(lambda g: transform.update(g, transform.init(g))[0])(narrow)
    for name, x in g.items():
        np.testing.assert_allclose(found[name], x * min(1, bound / norm), rtol=2e-6)


def test_a_gradient_that_is_not_finite_is_not_clipped_to_one_that_is():
    transform = clip_by_norm(1.0)
    clipped = jax.jit(lambda g: transform.update(g, transform.init(g))[0])
    for broken in (np.inf, np.nan):
        assert not np.isfinite(clipped({"w": np.asarray([1.0, broken], np.float32)})["w"]).all()


@pytest.mark.parametrize("shape", [(1, 4), (4, 1), (1, 1), (2, 1, 3)])
def test_a_matrix_of_one_row_is_stepped_along_its_direction(shape):
    G = np.random.default_rng(0).normal(size=shape)
    found = np.asarray(jax.jit(orthogonalised, static_argnums=1)(G, 5))
    for one, of in zip(found.reshape(-1, *shape[-2:]), G.reshape(-1, *shape[-2:]), strict=True):
        length = np.linalg.norm(one)
        assert 0.65 < length < 1.25
        np.testing.assert_allclose(one / length, of / np.linalg.norm(of), rtol=1e-12)


@pytest.mark.parametrize("schedule", [gd.Cosine(steps=10.0, warmup=20.0, final=0.5), gd.Cosine(steps=1.0), gd.Cosine()])
def test_a_cosine_ends_at_its_last_factor_and_stays(schedule):
    steps = np.asarray([schedule.steps, schedule.steps + 1, 20, 21, 10**6, 2**31 - 1], np.int32)
    late = np.maximum(steps, int(schedule.warmup) + 1 + int(schedule.steps))
    found = factors_of(arrays(schedule), np.concatenate([late, np.arange(50, dtype=np.int32)]))
    np.testing.assert_allclose(found[: len(late)], schedule.final, atol=1e-15)
    assert np.all(np.isfinite(found))


@jax.jit
def factors_of(schedule, steps):
    return schedule.factor(steps)


@pytest.mark.parametrize("window", [1, 3])
def test_a_window_that_is_not_full_amplifies_nothing(window):
    transform = gd.grokfast_ma(window=window, lamb=2.0)
    g, filtered = {"w": np.ones(2)}, jax.jit(transform.update)
    state, found = transform.init(g), []
    for _ in range(5):
        update, state = filtered(g, state)
        found.append(float(update["w"][0]))
    assert found == [1.0] * (window - 1) + [3.0] * (6 - window)
