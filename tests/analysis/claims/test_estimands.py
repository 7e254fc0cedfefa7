"""Estimands: exact twins, symmetries, censoring."""

import numpy as np
import pytest
from scipy import stats

from grokdyn.analysis.checks import ArgumentError
from grokdyn.analysis.claims import Between, Contrast, MaximalError, Median, Order, Probability, mean, quotient, within
from grokdyn.analysis.claims.shares import blaker, place


def acceptability(p, of):
    """Return P_p(tail(Y) <= tail(x)) for all x [p, of + 1], as the definition has it."""
    law = stats.binom(of, np.asarray(p)[:, None]).pmf(np.arange(of + 1))
    tail = np.minimum(law.cumsum(1), law[:, ::-1].cumsum(1)[:, ::-1])
    return np.stack([np.sum(law * (tail <= own[:, None] * (1 + 1e-9)), axis=1) for own in tail.T], axis=1)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.9999])
@pytest.mark.parametrize("of", [1, 2, 13])
def test_a_share_has_blakers_interval(of, level):
    p = np.linspace(0, 1, 8001)
    inside = acceptability(p, of) > 1 - level
    for count in range(of + 1):
        low, high = blaker(count, of, level)
        held = p[inside[:, count]]
        assert -1e-12 <= held[0] - low < 1.01 / 8000
        assert -1e-12 <= high - held[-1] < 1.01 / 8000
    assert blaker(0, of, level)[0] == 0
    assert blaker(of, of, level)[1] == 1


def test_the_interval_of_a_share_is_a_published_one():
    """R package BlakerCI 1.0-6, its example; none of none tells nothing."""
    np.testing.assert_allclose(blaker(3, 10, 0.95), (0.08726443, 0.61941066), atol=5e-9)
    assert blaker(0, 0, 0.95) == (0, 1)


@pytest.mark.parametrize("count", [0, 1, 9, 16, 31])
def test_an_interval_of_a_share_holds_those_of_lower_levels(count):
    ends = np.array([blaker(count, 32, 1 - a) for a in np.geomspace(1e-9, 0.5, 60)])
    assert np.diff(ends[:, 0]).min() >= 0
    assert np.diff(ends[:, 1]).max() <= 0


def test_an_undecided_run_counts_both_ways():
    what = Probability([1, 1, 0, np.nan])
    assert (what.seeds, what.estimate()) == (3, 2 / 3)
    assert what.interval(0.9) == (blaker(2, 4, 0.9)[0], blaker(3, 4, 0.9)[1])


def test_a_median_of_known_values_has_an_interval_of_order_statistics():
    values = np.random.default_rng(0).normal(size=32)
    what = Median(values)
    low, high = what.interval(0.95)
    assert np.sort(values)[15] <= what.estimate() <= np.sort(values)[16]
    ranks = np.searchsorted(np.sort(values), [low, high])
    law = stats.binom(32, 0.5)
    assert abs(law.cdf(ranks[0]) - 0.025) < 0.015
    shifted = Median(values - 10)  # all below 0
    np.testing.assert_allclose(shifted.interval(0.95), (low - 10, high - 10))


def test_a_median_that_half_the_runs_do_not_reach_is_above_all_seen():
    low, high = np.r_[np.arange(10.0), np.full(22, 10.0)], np.r_[np.arange(10.0) + 1, np.full(22, np.inf)]
    what = Median((low, high))
    assert what.estimate() == np.inf
    assert 8 < what.interval(0.95)[0] <= 10
    assert what.interval(0.95)[1] == np.inf


def test_pairs_take_out_what_seeds_share():
    rng = np.random.default_rng(1)
    shared, n = rng.normal(0, 1, 40), 40
    one, other = np.exp(shared + 0.3 + rng.normal(0, 0.05, n)), np.exp(shared)
    paired, apart = Contrast(one, other), Contrast(one, other, paired=False)
    assert paired.interval(0.95)[0] > 1.3
    assert apart.interval(0.95)[0] < 1 < apart.interval(0.95)[1]
    back = Contrast(other, one, paired=False).interval(0.95)
    np.testing.assert_allclose(back, 1 / np.array(apart.interval(0.95))[::-1])


def test_a_pair_of_which_one_came_to_it_bounds_the_ratio_on_one_side():
    never, soon = (np.full(20, 100.0), np.full(20, np.inf)), (np.full(20, 9.0), np.full(20, 10.0))
    what = Contrast(never, soon)
    assert what.interval(0.95) == (10, np.inf)
    assert Contrast(never, never).seeds == 20  # (0, inf): nothing is known of the ratio
    assert Contrast(never, never).interval(0.95)[1] == np.inf
    assert Contrast(never, soon, paired=False).interval(0.95)[1] == np.inf
    low, high = quotient(never, soon)
    assert (low[0], high[0]) == (10, np.inf)
    with pytest.raises(ArgumentError, match="pairs need the same seeds"):
        Contrast(np.ones(3), np.ones(4)).interval(0.95)


def test_an_order_is_as_sure_as_its_least_sure_step():
    rng = np.random.default_rng(2)
    a, b, c = rng.normal(0, 1, 30), rng.normal(3, 1, 30), rng.normal(3.2, 1, 30)
    what = Order((a, b, c))
    step = Contrast(c, b, "difference")
    assert what.estimate() == step.estimate()
    assert what.interval(0.95)[0] == step.interval(0.95)[0]
    assert what.interval(0.95)[1] >= step.interval(0.95)[1]


def test_a_mean_is_students():
    values = np.random.default_rng(3).normal(5, 2, 12)
    told = stats.t.interval(0.9, 11, values.mean(), stats.sem(values))
    np.testing.assert_allclose(mean([*values, np.nan]).interval(0.9), told, rtol=1e-9)
    assert mean([1.0]).interval(0.95) == (-np.inf, np.inf)


def test_a_largest_distance_with_one_point_is_that_of_a_mean():
    values = np.random.default_rng(4).normal(1, 0.1, (30, 1))
    what, one = MaximalError(values, [0.0]), mean(values[:, 0])
    np.testing.assert_allclose(what.interval(0.95), one.interval(0.95), rtol=0.05)
    far = MaximalError(np.hstack([values, values + 5]), [0.0, 0.0])
    assert far.interval(0.95)[0] > 5.9


def test_where_a_value_lies_among_runs():
    low, high = np.array([1, 2, 3, 4.0]), np.array([2, 3, np.inf, np.inf])
    share, below, above = place(2.5, low, high, 0.95)
    assert share == pytest.approx((1 + 2) / 2 / 4)
    assert (below, above) == (blaker(1, 4, 0.95)[0], blaker(2, 4, 0.95)[1])
    np.testing.assert_array_equal(within([1, 2, 3, np.nan], 2, 3), [0, 1, 1, np.nan])


def test_a_median_of_ends_is_that_of_known_values_and_as_wide_as_intervals_make_it():
    values = np.random.default_rng(0).lognormal(0, 0.3, 31)
    known = Between(values, values)
    assert known.estimate() == Median(values).estimate()
    assert known.interval(0.9) == Median(values).interval(0.9)
    # Half of the ratios are from .71 to 1.41, half from 1.01 to 2: a curve has all of them between 1.01 and 1.41.
    low, high = np.repeat([0.71, 1.01], 16), np.repeat([1.41, 2.0], 16)
    assert Median((low, high)).interval(0.95)[0] >= 1
    assert Between(low, high).interval(0.95) == (0.71, 2.0)
    assert Between(low, np.where(high > 1.5, np.inf, high)).interval(0.95) == (0.71, np.inf)
    assert Between(low, high).seeds == 32


def test_ratios_of_two_sizes_on_a_grid_are_covered():
    """The true median is 1.1; 90 % intervals may miss it in 4 of 40, and do in one at most, being wide."""
    rng, missed = np.random.default_rng(1), 0
    for _ in range(40):
        one, other = rng.lognormal(np.log([1.1, 1.0]), 0.2, (32, 2)).T
        ends = [2 ** (np.floor(2 * np.log2(n)) / 2) for n in (one, other)]
        found = Between(ends[0] / (ends[1] * 2**0.5), ends[0] * 2**0.5 / ends[1]).interval(0.9)
        missed += not found[0] <= 1.1 <= found[1]
    assert missed <= 1
