"""Mini-batches: which rows each update sees."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.tasks.streams import stream
from grokdyn.train.gradient import batch_gradient
from grokdyn.train.step import draw_batch, training_key
from tests import cases
from tests.train.lanes import taken_apart

pytestmark = pytest.mark.usefixtures("x64")
TRAIN = 12  # int(0.25 * 49)


def experiment(**changes):
    return cases.tiny(**{"task.train_fraction": 0.25}, **changes)


def batches(run, updates):
    """Return the ranks [updates, batch] that a run's updates see."""

    def one(state, _):
        order, ranks = draw_batch(run.program, run.lane, state)
        return state.replace(order=order, step=state.step + 1), ranks

    return np.asarray(jax.jit(lambda state: jax.lax.scan(one, state, length=updates)[1])(run.state))


@pytest.mark.parametrize("size", [1, 3, 4, 5, 7, 12])
def test_a_pass_without_replacement_sees_no_row_twice(size):
    in_pass = TRAIN // size
    seen = batches(taken_apart(experiment(batch_size=size), padding=5), 60 * in_pass)
    passes = seen.reshape(60, in_pass * size)
    assert all(len(set(rows)) == in_pass * size for rows in passes.tolist())
    assert set(passes.ravel()) == set(range(TRAIN))
    assert len({tuple(rows) for rows in passes.tolist()}) == 60
    if TRAIN % size == 0:
        assert all(sorted(rows) == list(range(TRAIN)) for rows in passes.tolist())


def test_rows_that_sit_out_are_even():
    passes = batches(taken_apart(experiment(batch_size=5), padding=5), 2 * 1000).reshape(1000, 10)
    counts = np.bincount(passes.ravel(), minlength=TRAIN)
    share = 10 / TRAIN
    assert np.abs(counts - 1000 * share).max() < 5 * np.sqrt(1000 * share * (1 - share))


def test_batches_with_replacement_are_even_and_independent():
    run = taken_apart(experiment(batch_size=4, batch_replacement=True), padding=5)
    assert run.state.order is None
    seen = batches(run, 3000)
    counts = np.bincount(seen.ravel(), minlength=TRAIN)
    expected = seen.size / TRAIN
    assert len(counts) == TRAIN
    assert abs(np.sum((counts - expected) ** 2) / expected - (TRAIN - 1)) < 4 * np.sqrt(2 * (TRAIN - 1))
    # Two rows of a batch coincide in one of twelve.
    same = np.mean(seen[:, 0] == seen[:, 1])
    assert abs(same - 1 / TRAIN) < 4 * np.sqrt(1 / TRAIN / len(seen))


def test_the_batch_stream_is_its_own():
    first = taken_apart(experiment(batch_size=3))
    other = taken_apart(experiment(batch_size=3, **{"seeds.batch": 9}))
    assert np.array_equal(first.lane.split.order, other.lane.split.order)
    assert all(np.array_equal(first.state.params[name], other.state.params[name]) for name in first.state.params)
    assert not np.array_equal(batches(first, 4), batches(other, 4))


def test_the_gradient_of_a_batch_is_that_of_its_rows():
    run = taken_apart(experiment(batch_size=3, dtype="float64"))
    ranks = jnp.asarray([7, 2, 2])

    @jax.jit
    def of_batch(lane, rows, state):
        return batch_gradient(run.program, lane, rows, ranks, state.step)(state.params)

    terms, found, _ = of_batch(run.lane, run.rows, run.state)
    rows = run.lane.split.order[ranks]
    model, table = run.lane.experiment.model, run.table

    @jax.jit
    @jax.value_and_grad
    def mean_loss(params):
        logits = model.forward(params, table.inputs[rows]).logits
        return jnp.mean(run.lane.experiment.loss.rows(logits, run.lane.split.labels[rows]))

    expected, gradient = mean_loss(run.state.params)
    # Cross-entropy is taken in float32 here.
    np.testing.assert_allclose(terms.sum(), expected, rtol=1e-6)
    for name, g in gradient.items():
        np.testing.assert_allclose(found[name], g, rtol=0, atol=1e-6 * np.abs(g).max())


def keys_of(run, steps):
    """Return the keys that the model draws from in the first updates."""
    return jax.vmap(lambda step: training_key(run.program, run.lane, step))(jnp.arange(steps, dtype=jnp.int32))


DROPPING = gd.Encoder(d_model=4, heads=1, ff=4, dropout=0.5)


def test_what_a_model_draws_is_no_part_of_what_draws_its_batch():
    """Eight rows, a power of two: ``randint`` is then the last bits of the second of the keys that it splits."""
    rows, steps = 8, 200
    changes = {"task.train_fraction": 8.2 / 49, "model": DROPPING}
    run = taken_apart(experiment().replace(**changes, batch_size=rows, batch_replacement=True))
    assert int(run.lane.split.n_train) == rows
    parent = stream(run.lane.experiment, "batch")
    keys = jax.vmap(lambda step: jax.random.fold_in(parent, step))(jnp.arange(steps))
    own, split, seen = keys_of(run, steps), jax.vmap(jax.random.split)(keys), batches(run, steps)

    def numbers(keys):
        return np.asarray(jax.vmap(lambda key: jax.random.bits(key, (rows,), jnp.uint32))(keys)) % rows

    assert np.array_equal(numbers(split[:, 1]), seen), "what would coincide"
    assert abs(np.mean(numbers(own) == seen) - 1 / rows) < 5 * np.sqrt(1 / rows / seen.size)
    words = np.asarray(jax.random.key_data(own))
    assert len(np.unique(words, axis=0)) == steps
    assert not set(map(tuple, words.tolist())) & set(map(tuple, jax.random.key_data(split).reshape(-1, 2).tolist()))
    drawn = jax.vmap(lambda key: jax.random.bits(key, (49,), jnp.uint32))(keys)
    assert not np.any(np.asarray(drawn) == (words[:, :1] ^ words[:, 1:])), "nor of an order of rows"


def test_without_batches_a_model_draws_from_the_key_of_the_step():
    run = taken_apart(experiment().replace(model=DROPPING))
    expected = jax.random.fold_in(jax.random.fold_in(stream(run.lane.experiment, "batch"), 3), 1)
    assert keys_of(run, 4)[3] == expected
