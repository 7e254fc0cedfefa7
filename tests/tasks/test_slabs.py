"""Slabs against their definition, written out in plain numpy: marginals, margins, and what the best rules tell."""

import jax
import numpy as np
import pytest

import grokdyn as gd
from tests import cases

pytestmark = pytest.mark.usefixtures("x64")
N, B, G = 40_000, 2.0, 0.25
# Kind -> (class, lower end, upper end of |x|, probability of a row of the class), as the paper's tables have them.
WIDTHS = {3: (2 * B - 4 * G) / 3, 5: (2 * B - 8 * G) / 5, 7: (2 * B - 12 * G) / 7}


def between(k, first, gaps, width=1.0):
    return first * WIDTHS[k] + gaps * G, (first + width) * WIDTHS[k] + gaps * G


SIZES = {
    "linear": [(0, (G, B), 1.0), (1, (G, B), 1.0)],
    "3-slab": [(0, between(3, 0, 0, 0.5), 1.0), (1, between(3, 0.5, 2), 1.0)],
    "5-slab": [(0, between(5, 0, 0, 0.5), 0.75), (0, between(5, 1.5, 4), 0.25), (1, between(5, 0.5, 2), 1.0)],
    "7-slab": [
        (0, between(7, 0, 0, 0.5), 0.5),
        (0, between(7, 1.5, 4), 0.5),
        (1, between(7, 0.5, 2), 7 / 8),
        (1, between(7, 2.5, 6), 1 / 8),
    ],
}


def rows(task, seed=3):
    x, y = map(np.asarray, jax.jit(task.draw)(jax.random.key(seed)))
    return x.astype(np.float64), y


def many(simple, **more):
    more = {"dimension": 2, "simple": simple, "simple_count": 1, "others": simple, "rotated": False} | more
    return gd.Slabs(points=N, margin=G / B, half_width=B, **more)


@pytest.mark.parametrize("kind", SIZES)
def test_every_slab_is_uniform_where_it_is_said_to_be(kind):
    x, y = rows(many(kind))
    assert abs(y.mean() - 0.5) < 5 * np.sqrt(0.25 / N)
    edge = max(high for _, (_, high), _ in SIZES[kind])
    np.testing.assert_allclose(edge, B)
    for column in x.T:
        for label in (0, 1):
            sizes, slabs = np.abs(column[y == label]), [one for one in SIZES[kind] if one[0] == label]
            seen = 0
            for _, (low, high), share in slabs:
                inside = sizes[(sizes >= low - 1e-6) & (sizes <= high + 1e-6)]
                seen += len(inside)
                assert abs(len(inside) / len(sizes) - share) <= 5 * np.sqrt(share * (1 - share) / len(sizes))
                u = np.sort((inside - low) / (high - low))
                # Kolmogorov and Smirnov: beyond 2 / sqrt(n) with probability 0.0007.
                assert np.max(np.abs(u - (np.arange(len(u)) + 0.5) / len(u))) < 2 / np.sqrt(len(u))
            assert seen == len(sizes)
            if kind == "linear":
                assert np.all(np.sign(column[y == label]) == 2 * label - 1)
            else:
                assert abs(np.mean(column[y == label] > 0) - 0.5) < 5 * np.sqrt(0.25 / len(sizes))


@pytest.mark.parametrize("kind", SIZES)
def test_classes_are_two_margins_apart(kind):
    x, y = rows(many(kind))
    column, label = x[:, 0], y
    order = np.argsort(column)
    gaps = np.diff(column[order])[np.diff(label[order]) != 0]
    assert len(gaps) == {"linear": 1, "3-slab": 2, "5-slab": 4, "7-slab": 6}[kind]
    assert np.all(gaps >= 2 * G - 1e-6)
    # Of so many rows of a slab some are near both ends.
    assert np.all(gaps <= 2 * G + 0.02)


def best_rule(kind, column):
    """Return the class that a coordinate tells, by the slab that it is in, or is nearest to."""
    if kind == "linear":
        return (column > 0).astype(int)
    off = [np.maximum(np.maximum(low - np.abs(column), np.abs(column) - high), 0) for _, (low, high), _ in SIZES[kind]]
    return np.asarray([label for label, _, _ in SIZES[kind]])[np.argmin(off, axis=0)]


@pytest.mark.parametrize("kind", SIZES)
def test_one_coordinate_tells_every_row_and_a_line_only_the_linear_one(kind):
    x, y = rows(many(kind))
    np.testing.assert_array_equal(best_rule(kind, x[:, 1]), y)
    right = np.mean((x[:, 0] > 0) == y)
    assert right == 1 if kind == "linear" else abs(right - 0.5) < 5 * np.sqrt(0.25 / N)


def test_coordinates_are_independent_given_the_class():
    x, y = rows(many("linear", dimension=4, others="7-slab"))
    for label in (0, 1):
        one = x[y == label]
        for values in (one, np.abs(one)):
            off = np.corrcoef(values.T)[np.triu_indices(4, 1)]
            assert np.all(np.abs(off) < 5 / np.sqrt(len(one)))


@pytest.mark.parametrize("corruption", ["margin", "sign"])
def test_spoilt_rows_leave_a_line_what_its_best_rule_has_and_slabs_all(corruption):
    p, task = 0.3, many("linear", others="5-slab", corrupted=0.3, corruption=corruption)
    x, y = rows(task)
    best = 1 - p / 2 if corruption == "margin" else 1 - p
    assert abs(np.mean(best_rule("linear", x[:, 0]) == y) - best) < 5 * np.sqrt(best * (1 - best) / N)
    np.testing.assert_array_equal(best_rule("5-slab", x[:, 1]), y)
    clean, other = rows(task.replace(corrupted=0.0)), rows(task.replace(corrupted=0.2))
    spoilt = np.abs(x[:, 0]) < G if corruption == "margin" else np.sign(x[:, 0]) != 2 * y - 1
    assert abs(spoilt.mean() - p) < 5 * np.sqrt(p * (1 - p) / N)
    np.testing.assert_array_equal(x[~spoilt], clean[0][~spoilt])
    np.testing.assert_array_equal(x[:, 1], clean[0][:, 1])
    # Nested in the share.
    fewer = np.abs(other[0][:, 0]) < G if corruption == "margin" else np.sign(other[0][:, 0]) != 2 * y - 1
    assert np.all(spoilt[fewer])
    if corruption == "margin":
        inside = x[spoilt, 0] / G
        assert abs(inside.mean()) < 5 / np.sqrt(3 * len(inside))
        assert abs(inside.var() - 1 / 3) < 5 * np.sqrt(4 / 45 / len(inside))
        np.testing.assert_allclose(np.mean(inside[y[spoilt] == 1]), 0, atol=5 / np.sqrt(len(inside)))


def test_inputs_are_coordinates_times_an_orthogonal_matrix_of_the_run():
    task = gd.Slabs(dimension=6, points=50)
    plain = rows(task.replace(rotated=False))[0]
    key = jax.random.key(3)
    W = np.asarray(jax.jit(task.rotation)(key))
    np.testing.assert_allclose(W @ W.T, np.eye(6), atol=1e-12)
    np.testing.assert_allclose(rows(task)[0], plain @ W.T, atol=1e-6)
    assert task.replace(rotated=False).rotation(key) is None
    # The law of Haar: entries have mean 0 and mean square 1 / d.
    many = np.asarray(jax.jit(jax.vmap(task.rotation))(jax.random.split(key, 2000)))
    assert np.all(np.abs(many.mean(axis=0)) < 5 / np.sqrt(6 * 2000))
    assert np.all(np.abs(np.square(many).mean(axis=0) - 1 / 6) < 5 * np.sqrt(2 * 5 / (36 * 8) / 2000))


def test_what_does_not_fit_is_refused():
    for changes, told in (
        ({"simple_count": 9}, r"simple_count: got 9; allowed: at most dimension, 4"),
        ({"simple": "3-slab", "corrupted": 0.1}, r"corrupted: got 0.1; allowed: 0, where no coordinate is linear"),
        ({"train_points": 13}, r"train_points: got 13; allowed: at most points, 12"),
        ({"simple": "9-slab"}, r"simple: got '9-slab'; allowed: one of linear, 3-slab, 5-slab, 7-slab"),
        ({"margin": 0.2}, r"margin: got 0.2; allowed: a finite number at least 0 and at most 0.166667"),
    ):
        with pytest.raises(gd.SpecError, match=told):
            gd.run(cases.tiny(task=gd.Slabs(dimension=4, points=12).replace(**changes)), progress=False)
