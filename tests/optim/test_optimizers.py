"""Optimizers over random steps against plain numpy; Adam over the whole float range."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import grokdyn as gd
from grokdyn.spec.kinds import kind_of
from tests import cases
from tests.contract import arrays, assert_dtype, assert_numbers_are_traced
from tests.optim import twins

pytestmark = pytest.mark.usefixtures("x64")
STEPS, SIZE = 20, 12
VARIANTS = [
    gd.SGD(learning_rate=0.1),
    gd.SGD(learning_rate=0.1, momentum=0.9),
    gd.SGD(learning_rate=0.1, momentum=0.9, nesterov=True),
    gd.SGD(learning_rate=0.1, momentum=0.5, weight_decay=0.3),
    gd.SGD(learning_rate=0.1, momentum=0.5, nesterov=True, weight_decay=0.3, clip_norm=0.5),
    gd.Adam(learning_rate=0.05),
    gd.Adam(learning_rate=0.05, b1=0.5, b2=0.6, eps=0.1, weight_decay=0.4),
    gd.Adam(learning_rate=0.05, b1=0.0, b2=0.0, eps=1e-3),
    gd.AdamW(learning_rate=0.05, weight_decay=2.0),
    gd.AdamW(learning_rate=0.05, b1=0.8, b2=0.98, eps=1e-25, weight_decay=0.5, clip_norm=1.0),
    gd.Lion(learning_rate=0.05),
    gd.Lion(learning_rate=0.05, b1=0.5, b2=0.7, weight_decay=0.6, clip_norm=0.1),
]
SCHEDULES = [
    *cases.SCHEDULES,
    gd.Warmup(steps=5.0),
    gd.Warmup(steps=0.0),
    gd.Cosine(steps=10.0),
    gd.Cosine(steps=2.0, warmup=5.0, final=0.5),
    gd.StepDecay(every=1.0, factor_per_drop=0.0),
]


def problem(seed=0, steps=STEPS):
    """Return parameters and gradients over the steps, of sizes from 1e-3 to 10."""
    rng = np.random.default_rng(seed)
    sizes = 10 ** rng.uniform(-3, 1, (steps, 1))
    return rng.normal(size=SIZE), sizes * rng.normal(size=(steps, SIZE))


def followed(optimizer, w, gradients, dtype):
    """Return the parameters after every step, as a tree of two tensors of the dtype."""
    transform = optimizer.transform()

    def step(carry, g):
        params, state = carry
        updates, state = transform.update(split(g), state, params)
        params = jax.tree.map(jnp.add, params, updates)
        return (params, state), params

    params = split(jnp.asarray(w, dtype))
    _, path = jax.lax.scan(step, (params, transform.init(params)), jnp.asarray(gradients, dtype))
    return np.concatenate([path["a"].reshape(len(gradients), -1), path["b"]], axis=1)


def split(vector):
    return {"a": vector[:8].reshape(2, 4), "b": vector[8:]}


def twin(optimizer, w, gradients):
    if optimizer.clip_norm is not None:
        gradients = list(twins.clipped(gradients, optimizer.clip_norm))
    schedule = optimizer.schedule
    factors = getattr(twins, kind_of(schedule))
    return np.stack(list(getattr(twins, kind_of(optimizer))(optimizer, w, gradients, lambda t: factors(schedule, t))))


FULLEST = VARIANTS[4], VARIANTS[6], VARIANTS[9], VARIANTS[11]


@pytest.mark.parametrize(
    ("optimizer", "dtype"),
    [*((optimizer, "float64") for optimizer in VARIANTS), *((optimizer, "float32") for optimizer in FULLEST)],
    ids=lambda x: x if isinstance(x, str) else kind_of(x),
)
def test_an_optimizer_is_its_formula(optimizer, dtype):
    w, gradients = problem()
    w, gradients = w.astype(dtype), gradients.astype(dtype)
    exact = twin(optimizer, w.astype("float64"), gradients.astype("float64"))
    found = followed(arrays(optimizer), w, gradients, dtype)
    # A dozen roundings a step of numbers as large as the largest parameter.
    np.testing.assert_allclose(found, exact, rtol=0, atol=12 * STEPS * np.finfo(dtype).eps * np.abs(exact).max())


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: kind_of(s))
def test_a_schedule_is_its_formula(schedule):
    counts = np.arange(25, dtype=np.int32)
    found = jax.jit(jax.vmap(arrays(schedule).factor))(counts)
    exact = [getattr(twins, kind_of(schedule))(schedule, t) for t in counts]
    np.testing.assert_allclose(found, exact, rtol=1e-12, atol=1e-15)
    assert found.dtype == "float64"


@pytest.mark.parametrize("schedule", cases.cases("schedule"))
def test_a_schedule_multiplies_the_learning_rate_and_the_decay(schedule):
    optimizer = gd.AdamW(learning_rate=0.05, weight_decay=1.0, schedule=schedule)
    w, gradients = problem()
    found = followed(arrays(optimizer), w, gradients, "float64")
    np.testing.assert_allclose(found, twin(optimizer, w, gradients), rtol=0, atol=1e-13)


def test_a_warm_up_starts_at_zero_or_at_its_offset():
    w, gradients = problem()
    cold = followed(arrays(gd.SGD(learning_rate=0.1, schedule=gd.Warmup(steps=4.0))), w, gradients, "float64")
    assert np.array_equal(cold[0], w)
    warm = followed(
        arrays(gd.SGD(learning_rate=0.1, schedule=gd.Warmup(steps=4.0, offset=1.0))), w, gradients, "float64"
    )
    np.testing.assert_allclose(warm[0], w - 0.1 / 4 * gradients[0], rtol=1e-14)


def test_clipping_leaves_small_and_zero_gradients_alone():
    w, gradients = problem(steps=3)
    gradients[1] = 0
    free = followed(arrays(gd.SGD(learning_rate=0.1)), w, gradients, "float64")
    held = followed(arrays(gd.SGD(learning_rate=0.1, clip_norm=1e3)), w, gradients, "float64")
    assert np.array_equal(free, held)


def steps_of(b2, eps, gradients):
    """Return the steps of AdamW in float32 with learning rate 1 and no decay."""
    optimizer = gd.AdamW(learning_rate=1.0, b2=b2, eps=eps)
    return np.asarray(steps_along(arrays(optimizer), gradients.astype("float32")))


@jax.jit
def steps_along(optimizer, gradients):
    """Return the steps of an optimizer from 0; its numbers are traced, as they are in a sweep."""
    transform, zero = optimizer.transform(), jnp.zeros_like(gradients[0])

    def step(state, g):
        update, state = transform.update(g, state, zero)
        return state, update

    return jax.lax.scan(step, transform.init(zero), gradients)[1]


def exact_steps(b2, eps, gradients):
    optimizer = gd.AdamW(learning_rate=1.0, b2=b2, eps=eps)
    zero = np.zeros(gradients.shape[1:])
    path = np.stack(list(twins.adamw(optimizer, zero, gradients.astype("float64"), lambda t: 1.0)))
    return np.diff(path, axis=0, prepend=0)


@pytest.mark.as_users
@pytest.mark.parametrize("b2", [0.9, 0.98, 0.999])
@pytest.mark.parametrize("eps", [1e-30, 1e-25, 1e-16, 1e-8])
def test_adam_is_right_for_gradients_of_any_size(eps, b2):
    sizes = np.logspace(-30, 10, 81).astype("float32")
    gradients = np.stack([sizes, sizes / 2, sizes * 3, sizes / 4])
    np.testing.assert_allclose(steps_of(b2, eps, gradients), exact_steps(b2, eps, gradients), rtol=1e-4)


@pytest.mark.as_users
@pytest.mark.parametrize("eps", [1e-30, 1e-25, 1e-8])
def test_adam_is_right_when_gradients_change_size(eps):
    rng = np.random.default_rng(0)
    gradients = (10 ** rng.uniform(-30, 10, (6, 500))).astype("float32")
    exact = exact_steps(0.98, eps, gradients)
    # In float64 squares below 1e-308 do not occur here, but a step below 1e-38 has no float32.
    kept = np.abs(exact) > 1e-30
    np.testing.assert_allclose(steps_of(0.98, eps, gradients)[kept], exact[kept], rtol=1e-4)
    assert kept.mean() > 0.9


@pytest.mark.as_users
@pytest.mark.parametrize("eps", [0.0, 1e-30, 1e-8])
def test_adam_takes_no_step_along_a_zero_gradient(eps):
    gradients = np.zeros((3, 4))
    assert not np.any(steps_of(0.999, eps, gradients))
    gradients[1, :2] = 1e-3
    found = steps_of(0.999, eps, gradients)
    assert np.all(np.isfinite(found))
    assert not np.any(found[:, 2:])
    assert np.all(found[1:, :2])


@pytest.mark.as_users
@pytest.mark.skipif(jax.default_backend() != "cpu", reason="subnormals are flushed by XLA on CPU")
@pytest.mark.parametrize("size", [1e-18, 1e-19, 1e-20])
def test_the_textbook_form_explodes_where_squares_are_subnormal_and_ours_does_not(size):
    # (1 - b2) g^2 < 1e-38 is flushed to zero, so v = 0 and the step is g / eps instead of 1.
    gradients = np.full((3, 1), size, "float32")
    textbook = optax.adamw(1.0, b2=0.999, eps=1e-25, weight_decay=0.0)
    zero = jnp.zeros(1, jnp.float32)

    def step(state, g):
        update, state = textbook.update(g, state, zero)
        return state, update

    exploded = jax.jit(lambda g: jax.lax.scan(step, textbook.init(zero), g)[1])(jnp.asarray(gradients))
    assert np.abs(exploded).min() > 1e4
    np.testing.assert_allclose(steps_of(0.999, 1e-25, gradients), -1.0, rtol=1e-4)


@pytest.mark.parametrize("optimizer", cases.cases("optimizer"))
def test_numbers_of_an_optimizer_are_traced(optimizer):
    w, gradients = problem(steps=4)
    w, gradients = w.astype("float32"), gradients.astype("float32")

    def evaluate(optimizer):
        transform = optimizer.transform()
        params = split(w)

        def step(carry, g):
            params, state = carry
            updates, state = transform.update(split(g), state, params)
            return (jax.tree.map(jnp.add, params, updates), state), None

        return jax.lax.scan(step, (params, transform.init(params)), gradients)[0][0]

    assert_numbers_are_traced(evaluate, optimizer)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", cases.cases("optimizer"))
def test_an_optimizer_keeps_its_dtype(optimizer, dtype):
    params = split(jnp.ones(SIZE, dtype))

    def twice(optimizer):
        transform = optimizer.transform()
        state = first = transform.init(params)
        for _ in range(2):
            updates, state = transform.update(params, state, params)
        return first, state, updates

    first, state, updates = jax.eval_shape(twice, arrays(optimizer))
    assert_dtype((state, updates), dtype)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), first) == jax.tree.map(lambda x: (x.shape, x.dtype), state)


@pytest.mark.parametrize("schedule", cases.cases("schedule"))
def test_numbers_of_a_schedule_are_traced(schedule):
    assert_numbers_are_traced(lambda s: jax.vmap(s.factor)(jnp.arange(20)), schedule)
