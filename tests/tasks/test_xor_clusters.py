"""Points of the clusters against their definition, and the reduced ones against the law of full ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from tests.tasks.draws import drawn

pytestmark = pytest.mark.usefixtures("x64")


def test_points_are_those_of_four_clusters_with_labels_by_xor():
    task = gd.XorClusters(dimension=30, points=4000, mean_norm=20.0)
    x, y = map(np.array, jax.jit(task.draw)(jax.random.key(3)))
    along = np.argmax(np.abs(x[:, :2]), axis=1)
    np.testing.assert_array_equal(y, 1 - along)
    sign = np.sign(x[np.arange(4000), along])
    counts = np.array([np.sum((along == c) & (sign == s)) for c in (0, 1) for s in (-1, 1)])
    assert np.all(np.abs(counts - 1000) < 5 * np.sqrt(750))
    x[np.arange(4000), along] -= 20 * sign
    assert abs(x.mean()) < 5 / np.sqrt(x.size)
    assert abs(x.var() - 1) < 5 * np.sqrt(2 / x.size)


@pytest.mark.parametrize(("points", "dimension"), [(4, 11), (5, 4)])
def test_reduced_points_have_the_products_of_full_ones(points, dimension):
    """All first and second moments of products of points, and of points and means, within 5 standard errors."""
    task, draws = gd.XorClusters(dimension=dimension, points=points, mean_norm=1.5), 3000
    keys = jax.random.split(jax.random.key(0), draws)

    def moments(task):
        x = jax.jit(jax.vmap(lambda key: task.draw(key).inputs))(keys)
        all_rows = np.concatenate([x, np.broadcast_to(1.5 * np.eye(2, task.width), (draws, 2, task.width))], axis=1)
        products = (all_rows @ all_rows.transpose(0, 2, 1))[:, *np.triu_indices(points + 2)]
        both = (products[:, :, None] * products[:, None, :]).reshape(draws, -1)
        return np.concatenate([products, both], axis=1)

    reduced = task.replace(reduced=True)
    assert reduced.width == min(dimension, points + 2)
    one, other = moments(reduced), moments(task)
    error = np.sqrt((one.var(axis=0) + other.var(axis=0)) / draws)
    assert np.all(np.abs(one.mean(axis=0) - other.mean(axis=0)) <= 5 * error + 1e-6)


def test_flipped_labels_are_exact_in_number_and_test_labels_true():
    task = gd.XorClusters(dimension=8, points=60, train_points=40, label_noise=0.05, noise="wrong")
    split, clean = jax.jit(lambda: (drawn(task), task.draw(jax.random.key(0)).labels))()
    flipped = np.asarray(split.corrupted)
    assert flipped.sum() == 2
    assert set(np.flatnonzero(flipped)) <= set(np.asarray(split.order)[:40].tolist())
    np.testing.assert_array_equal(split.labels, jnp.where(flipped, 1 - clean, clean))


def test_more_train_points_than_points_are_refused():
    with pytest.raises(gd.SpecError, match=r"train_points: got 9; allowed: at most points, 8"):
        gd.run(
            gd.Experiment(
                task=gd.XorClusters(dimension=4, points=8, train_points=9),
                model=gd.FixedReadout(width=2),
                loss=gd.CrossEntropy(),
                optimizer=gd.SGD(learning_rate=0.1),
                steps=1,
            ),
            progress=False,
        )
