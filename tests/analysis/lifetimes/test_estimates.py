"""Curves, bands, means and tests against scipy, brute force and closed forms."""

import numpy as np
import pytest
from scipy import stats

from grokdyn.analysis.lifetimes.curve import curve
from grokdyn.analysis.lifetimes.logrank import logrank
from grokdyn.analysis.lifetimes.means import area_to, incidence, restricted_mean
from grokdyn.analysis.lifetimes.turnbull import innermost, steps
from tests.analysis.lifetimes.made import censored


def right_censored(time, seen):
    return stats.CensoredData.right_censored(time, ~seen)


@pytest.mark.parametrize("digits", [8, 0])
def test_known_times_give_kaplan_and_meiers_estimate_and_greenwoods_band(digits):
    time, seen = censored(np.random.default_rng(0), 60, scale=10)
    time = np.round(time, digits)
    found = curve(time, np.where(seen, time, np.inf), band="log-log")
    told = stats.ecdf(right_censored(time, seen)).sf
    at = found.steps.end[:-1]
    np.testing.assert_allclose(found.at(at), told.evaluate(at), rtol=1e-12)
    band = told.confidence_interval(0.95, method="log-log")
    np.testing.assert_allclose(found.at(at, "low"), band.low.evaluate(at), rtol=1e-9)
    np.testing.assert_allclose(found.at(at, "high"), band.high.evaluate(at), rtol=1e-9)


def test_the_logrank_test_is_scipys_for_two_groups():
    rng = np.random.default_rng(1)
    time, seen = censored(rng, 80)
    group = np.repeat([0, 1], 40)
    time = np.round(time * np.where(group, 1.6, 1.0), 2)
    found = logrank(time, seen, group)
    told = stats.logrank(*(right_censored(time[group == g], seen[group == g]) for g in (0, 1)))
    assert found.p == pytest.approx(told.pvalue, rel=1e-10)
    assert (found.freedom, found.method) == (1, "chi-squared")


def test_small_groups_are_compared_by_all_exchanges():
    time, group = np.arange(8.0), np.repeat([0, 1], 4)
    found = logrank(time, np.ones(8, bool), group)
    assert found.method == "exchanges"
    assert found.p == pytest.approx(2 / 70)  # full separation, either way round


def test_intervals_of_one_grid_give_the_share_at_its_ends():
    time = np.random.default_rng(2).exponential(100, 200)
    low = np.floor(time / 30) * 30
    found = curve(low, low + 30)
    ends = np.arange(30, 600, 30)
    np.testing.assert_allclose(found.at(ends), [(time > t).mean() for t in ends], atol=1e-12)
    np.testing.assert_allclose(found.at([45.0]), ((time > 30).mean() + (time > 60).mean()) / 2)


def test_overlapping_intervals_give_the_largest_likelihood():
    """No mass that is moved raises the likelihood, also not beyond the last interval: the gradient rule."""
    rng = np.random.default_rng(3)
    low = rng.integers(0, 30, 50).astype(float)
    high = low + rng.integers(1, 12, 50)
    high[::6] = np.inf
    found = steps(low, high)
    order = np.lexsort((high, low))
    low, high = low[order], high[order]
    first, last, begin, _ = innermost(low, high)
    mass = -np.diff(np.concatenate([[1.0], found.survival, [0.0]]))
    inside = np.arange(len(begin) + 1) >= first[:, None]
    inside &= np.arange(len(begin) + 1) <= np.where(np.isfinite(high), last, len(begin))[:, None]
    gradient = (inside / (inside @ mass)[:, None]).mean(0)
    assert gradient.max() < 1 + 1e-6
    assert gradient[mass > 1e-3].min() > 1 - 1e-4


def test_the_band_is_that_of_a_share_where_nothing_is_censored():
    """Its ends are those of the mid-p interval, to the accuracy of two moments."""
    n, k = 40, 13
    found = curve(np.arange(1.0, n + 1), np.arange(1.0, n + 1))
    for what, tail in (("low", 0.025), ("high", 0.975)):
        p = found.at([float(k)], what)[0]
        law = stats.binom(n, 1 - p)
        assert (law.cdf(k - 1) + law.pmf(k) / 2) == pytest.approx(tail, abs=0.004)
    assert found.at([0.5], "high")[0] == 1
    assert found.at([0.5], "low")[0] == pytest.approx(0.05 ** (1 / n))


def test_a_median_beyond_the_last_look_is_inf_and_its_lower_end_finite():
    time = np.arange(1.0, 21)
    found = curve(np.minimum(time, 9), np.where(time <= 9, time, np.inf))
    assert found.reaches(0.5) == np.inf
    assert found.reaches(0.5, "high") == np.inf
    assert 5 <= found.reaches(0.5, "low") <= 7


def test_the_restricted_mean_of_known_times_is_their_mean():
    time = np.random.default_rng(4).exponential(1, 50)
    found = curve(time, time)
    mean, low, high = restricted_mean(found, 1.0)
    told = np.minimum(time, 1)
    assert mean == pytest.approx(told.mean(), rel=1e-12)
    assert area_to(found, 100.0) == pytest.approx(time.mean(), rel=1e-12)
    half = stats.t.ppf(0.975, 49) * told.std(ddof=1) / 50**0.5 / (mean * (1 - mean))
    ends = np.log(mean / (1 - mean)) + np.array([-half, half])
    np.testing.assert_allclose((low, high), 1 / (1 + np.exp(-ends)), rtol=0.002)


def test_the_share_that_diverged_is_that_of_all_runs():
    low = np.array([1, 2, 3, 4.0])
    high, other = np.array([1, np.inf, 3, np.inf]), np.array([False, True, False, False])
    np.testing.assert_allclose(incidence(low, high, other, np.array([1.9, 2, 9])), [0, 0.25, 0.25])
