"""Splits and label noise: exact counts, nested, from streams that do not touch each other."""

import itertools

import jax
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.tasks.base import part_of
from tests import cases
from tests.tasks.draws import drawn

pytestmark = pytest.mark.usefixtures("x64")
P = 23
ROWS = P * P
FRACTIONS = (0.002, 0.1, 0.29, 0.3, 1 / 3, 0.5, 0.7, 0.999, 1.0)


def task(**changes):
    return gd.ModularArithmetic(p=P).replace(**changes)


def splits(path, values, **changes):
    """Return one split per value as plain numpy, from one compiled program."""
    draw = jax.jit(drawn)
    return [jax.device_get(draw(task(**changes, **{path: float(value)}))) for value in values]


def train_of(split):
    return split.order[: split.n_train]


def test_counts_are_the_whole_part_of_the_fraction():
    for fraction, split in zip(FRACTIONS, splits("train_fraction", FRACTIONS), strict=True):
        assert split.n_train == int(fraction * ROWS)
        assert sorted(split.order) == list(range(ROWS))


@pytest.mark.parametrize("rows", [2, 49, 59**2, 97 * 96, 5000, 14400])
def test_a_count_as_a_share_is_that_count(rows):
    counts = np.arange(1, rows + 1)
    assert np.array_equal(part_of(counts / rows, rows), counts)
    written = np.array([float(f"{share:.11f}") for share in counts / rows])
    assert np.array_equal(part_of(written, rows), counts)


def test_a_count_is_the_same_traced_and_not_for_any_share_and_rows():
    rng = np.random.default_rng(0)
    shares, rows = rng.random(20_000), rng.integers(0, 10_000_000, 20_000).astype(np.int32)
    found = part_of(shares, rows)
    assert np.array_equal(jax.jit(part_of)(shares, rows), found)
    off = np.flatnonzero(found != (shares * rows).astype(np.int32))
    nearest = np.rint(shares[off] * rows[off])
    # Other than the whole part of the product only where a whole number is next to it.
    assert np.array_equal(found[off], nearest)
    assert np.all(nearest - shares[off] * rows[off] < 3e-11 * rows[off])


def test_train_points_of_an_enumerated_task_are_an_axis():
    experiment = cases.tiny(task=task(train_fraction=0.4), steps=1, probes=("accuracy",))
    swept = gd.Sweep(experiment.replace(**{"task.train_fraction": 0.5}), {"task.train_points": [1, 100, ROWS]})
    shares = gd.run(swept).train_accuracy.isel(step=0).values
    assert np.all(np.abs(shares * [1, 100, ROWS] - np.rint(shares * [1, 100, ROWS])) < 1e-9)
    with pytest.raises(gd.SpecError, match=rf"task.train_points: got {ROWS + 1}; allowed: at most .* {ROWS}"):
        gd.run(gd.Sweep(experiment, {"task.train_points": [5, ROWS + 1]}))


def test_a_smaller_fraction_is_part_of_a_larger_one():
    found = splits("train_fraction", FRACTIONS)
    for small, large in itertools.pairwise(found):
        assert set(train_of(small)) <= set(train_of(large))


def test_every_row_is_as_likely_to_train():
    draw = jax.jit(jax.vmap(lambda seed: drawn(task(train_fraction=0.3), split=seed).order[: int(0.3 * ROWS)]))
    seeds = 2000
    counts = np.bincount(np.asarray(draw(np.arange(seeds))).ravel(), minlength=ROWS)
    share = int(0.3 * ROWS) / ROWS
    # Each count is binomial; the largest of 529 is beyond 5 standard deviations once in 3000.
    assert np.abs(counts - seeds * share).max() < 5 * np.sqrt(seeds * share * (1 - share))


@pytest.mark.parametrize("noise", ["uniform", "wrong"])
def test_corrupted_rows_are_exact_in_number_nested_and_train_rows(noise):
    shares = (0.0, 0.05, 0.3, 0.31, 0.9, 1.0)
    found = splits("label_noise", shares, train_fraction=0.4, noise=noise)
    clean = task().table().labels
    for share, split in zip(shares, found, strict=True):
        corrupted = np.flatnonzero(split.corrupted)
        assert len(corrupted) == int(share * split.n_train)
        assert set(corrupted) <= set(train_of(split))
        assert np.all(split.labels[~split.corrupted] == clean[~split.corrupted])
    for less, more in itertools.pairwise(found):
        assert np.all(more.corrupted[less.corrupted])
        assert np.all(more.labels[less.corrupted] == less.labels[less.corrupted])


def pooled(noise):
    """Return drawn minus clean labels of all corrupted rows, pooled over seeds."""
    noisy = task(train_fraction=1.0, label_noise=1.0, noise=noise)
    labels = jax.jit(jax.vmap(lambda seed: drawn(noisy, noise=seed).labels))(np.arange(40))
    return (np.asarray(labels) - noisy.table().labels).ravel() % P


def assert_even(counts):
    """Check counts of equally likely classes by chi squared, within 4 standard deviations of its mean."""
    freedom = len(counts) - 1
    expected = counts.sum() / len(counts)
    chi2 = np.sum((counts - expected) ** 2) / expected
    assert abs(chi2 - freedom) < 4 * np.sqrt(2 * freedom)


def test_uniform_noise_draws_any_class():
    assert_even(np.bincount(pooled("uniform"), minlength=P))


def test_wrong_noise_draws_any_other_class_and_never_the_true_one():
    counts = np.bincount(pooled("wrong"), minlength=P)
    assert counts[0] == 0
    assert_even(counts[1:])


def test_wrong_noise_corrupts_every_marked_row_of_a_task_with_two_classes():
    split = jax.jit(drawn)(gd.ModularArithmetic(p=2, train_fraction=1.0, label_noise=1.0, noise="wrong"))
    assert split.labels.tolist() == [1, 0, 0, 1]


def test_streams_do_not_touch_each_other():
    draw = jax.jit(lambda split, noise: drawn(task(label_noise=0.3), split, noise))
    first, other_noise, other_split = (jax.device_get(draw(*seeds)) for seeds in ((0, 1), (0, 2), (3, 1)))
    assert np.all(first.order == other_noise.order)
    assert np.any(first.corrupted != other_noise.corrupted)
    assert np.any(first.order != other_split.order)
    # Drawn labels belong to the noise stream: a row corrupted under both splits has the same label.
    both = first.corrupted & other_split.corrupted
    assert np.any(both)
    assert np.all(first.labels[both] == other_split.labels[both])
