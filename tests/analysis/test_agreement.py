"""Disagreement, error and calibration by loops over pairs, rows and classes; intervals by how often they cover."""

import math
from itertools import combinations

import numpy as np
import pytest

import grokdyn as gd
from grokdyn.analysis.agreement import student_quantile


def drawn(seed, runs=5, rows=12, classes=3):
    generator = np.random.default_rng(seed)
    return generator.integers(classes, size=(runs, rows)), generator.integers(classes, size=rows)


@pytest.mark.parametrize("seed", range(4))
def test_means_are_those_of_all_pairs(seed):
    h, y = drawn(seed)
    found = gd.analysis.agreement(h, y)
    pairs = list(combinations(range(len(h)), 2))
    apart = [sum(h[i, r] != h[j, r] for r in range(12)) / 12 for i, j in pairs]
    errors = [sum(one[r] != y[r] for r in range(12)) / 12 for one in h]
    np.testing.assert_allclose(found.pairs, apart)
    np.testing.assert_allclose(found.errors, errors)
    np.testing.assert_allclose(found.pair_errors, [(errors[i] + errors[j]) / 2 for i, j in pairs])
    means = found.disagreement.value, found.error.value, found.difference.value
    assert means == pytest.approx((np.mean(apart), np.mean(errors), np.mean(apart) - np.mean(errors)))
    # M / (M - 1) (1 - mean_x sum_k h~_k(x)^2).
    shares = np.stack([np.mean(h == k, axis=0) for k in range(3)])
    assert found.disagreement.value == pytest.approx(5 / 4 * (1 - np.sum(shares**2, axis=0).mean()))


@pytest.mark.parametrize("seed", range(3))
def test_the_jackknife_leaves_out_one_run_at_a_time(seed):
    h, y = drawn(seed, runs=4)
    found = gd.analysis.agreement(h, y, confidence=0.9)
    left = [gd.analysis.agreement(np.delete(h, i, axis=0), y).difference.value for i in range(4)]
    error = math.sqrt(3 / 4 * np.sum((left - np.mean(left)) ** 2))
    half = 2.353363 * error  # Student's t, 3 degrees of freedom, 90 %
    assert found.difference.high - found.difference.value == pytest.approx(half, rel=1e-6)
    assert found.difference.value - found.difference.low == pytest.approx(half, rel=1e-6)


def test_disjoint_pairs_are_taken_in_order_and_an_odd_run_is_left_out():
    h, y = drawn(0, runs=7)
    found = gd.analysis.agreement(h, y, pairs="disjoint")
    np.testing.assert_allclose(found.pairs, [np.mean(h[i] != h[i + 1]) for i in (0, 2, 4)])
    differences = found.pairs - [np.mean(h[i : i + 2] != y) for i in (0, 2, 4)]
    half = 4.302653 * np.std(differences, ddof=1) / math.sqrt(3)  # 2 degrees of freedom, 95 %
    assert found.difference.high == pytest.approx(np.mean(differences) + half, rel=1e-6)
    assert found.errors.shape == (7,)


@pytest.mark.parametrize("runs", [1, 2, 5])
def test_calibration_is_its_definition(runs):
    h, y = drawn(runs, runs=runs)
    found = gd.analysis.calibration(h, y, classes=4)
    right, mass = np.zeros(runs + 1), np.zeros(runs + 1)
    for r in range(12):
        for k in range(4):
            votes = sum(one[r] == k for one in h)
            mass[votes] += 1 / 12
            right[votes] += (y[r] == k) / 12
    told = sum(abs(right[j] / mass[j] - j / runs) * mass[j] for j in range(runs + 1) if mass[j])
    np.testing.assert_allclose(found.mass, mass)
    np.testing.assert_allclose(found.right[mass > 0], (right / np.where(mass, mass, 1))[mass > 0])
    assert found.error == pytest.approx(told)
    assert found.mass.sum() == pytest.approx(4)


@pytest.mark.parametrize("seed", range(5))
def test_disagreement_with_replacement_is_off_by_no_more_than_the_calibration_error(seed):
    h, y = drawn(seed, runs=6)
    found = gd.analysis.agreement(h, y)
    assert abs(found.disagreement.value * 5 / 6 - found.error.value) <= found.calibration_error + 1e-12


def test_rows_learned_by_all_or_none_agree_as_they_err_and_half_learned_ones_do_not():
    """Runs that miss a row guess among two classes: with a share q of misses, err = q/2 and disagree = q(2 - q)/2."""
    generator, runs, rows = np.random.default_rng(0), 60, 4000
    y = generator.integers(2, size=rows)
    guesses = generator.integers(2, size=(runs, rows))
    by_row = np.where(generator.random(rows) < 0.5, guesses, y)
    found = gd.analysis.agreement(by_row, y)
    assert abs(found.difference.value) < 0.005
    half = gd.analysis.agreement(np.where(generator.random((runs, rows)) < 0.5, guesses, y), y)
    assert half.error.value == pytest.approx(0.25, abs=0.005)
    assert half.disagreement.value == pytest.approx(0.375, abs=0.005)
    assert half.difference.low > 0.11


def calibrated(generator, runs, rows, repeats):
    """Yield repeats of runs that draw each prediction from the law of the label: three classes, fixed rows."""
    law = generator.dirichlet(np.full(3, 0.6), size=rows).cumsum(axis=1)
    y = np.sum(generator.random(rows)[:, None] > law, axis=1)
    # Runs of different skill, so that they matter as units.
    for _ in range(repeats):
        lost = generator.random(runs) < 0.3
        u = generator.random((runs, rows))
        h = np.sum(u[..., None] > law, axis=2)
        yield np.where(lost[:, None], generator.integers(3, size=h.shape), h), y


@pytest.mark.parametrize(("pairs", "runs"), [("all", 12), ("disjoint", 24)])
def test_intervals_cover_the_mean_over_runs_as_often_as_they_say(pairs, runs):
    generator, repeats = np.random.default_rng(3), 400
    found = [gd.analysis.agreement(h, y, 3, pairs).difference for h, y in calibrated(generator, runs, 60, repeats)]
    truth = np.mean([one.value for one in found])
    covered = np.mean([one.low <= truth <= one.high for one in found])
    assert 0.95 - 3 * math.sqrt(0.95 * 0.05 / repeats) <= covered <= 0.995


def test_the_quantiles_of_student_are_those_of_the_tables():
    table = {(1, 0.95): 12.7062047, (2, 0.95): 4.3026527, (5, 0.99): 4.0321430, (30, 0.9): 1.6972609}
    for (degrees, confidence), told in table.items():
        assert student_quantile(degrees, confidence) == pytest.approx(told, rel=1e-7)
    assert student_quantile(10_000, 0.95) == pytest.approx(1.9602012, rel=1e-6)
    assert student_quantile(3, 1.0) == math.inf


def test_too_few_runs_have_no_interval():
    h, y = drawn(0, runs=2)
    for pairs in ("all", "disjoint"):
        found = gd.analysis.agreement(h, y, pairs=pairs)
        assert math.isfinite(found.difference.value)
        assert math.isnan(found.difference.low)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((1, 3), int), np.zeros(3, int)), "at least 2 run"),
        ((np.zeros((2, 0), int), np.zeros(0, int)), "predictions: got shape"),
        ((np.zeros((2, 3), int), np.zeros(2, int)), r"labels: got shape \(2,\); expected \(3,\)"),
        ((np.full((2, 3), 0.5), np.zeros(3, int)), "predictions: got float64"),
        ((np.full((2, 3), np.nan), np.zeros(3, int)), "predictions: got float64"),
        ((np.full((2, 3), -1), np.zeros(3, int)), "from -1 on"),
        ((np.full((2, 3), 4), np.zeros(3, int), 4), "classes=4: expected at least 5"),
        ((np.zeros((2, 3), int), np.zeros(3, int), None, "some"), "pairs='some'"),
    ],
)
def test_mistakes_are_told(arguments, message):
    with pytest.raises(ValueError, match=message):
        gd.analysis.agreement(*arguments)
