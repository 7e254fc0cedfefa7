"""The difference of restricted means of pairs: by integrals of survival curves, by bounds, where few are seen."""

import numpy as np
import pytest
from scipy import stats

from grokdyn.analysis.checks import ArgumentError
from grokdyn.analysis.claims import RestrictedDifference
from grokdyn.analysis.claims.shares import blaker
from grokdyn.analysis.lifetimes.curve import curve
from grokdyn.analysis.lifetimes.means import area_to
from tests.analysis.claims.calibration import pair, recorded

HORIZON = 1500.0


@pytest.mark.parametrize("ends", [lambda t: t, lambda t: recorded(t, HORIZON)], ids=["exact", "records"])
def test_the_mean_difference_is_the_area_between_two_survival_curves(ends):
    one, other = pair(np.random.default_rng(0), ends)
    areas = [area_to(curve(*(arm if isinstance(arm, tuple) else (arm, arm))), HORIZON) for arm in (one, other)]
    assert RestrictedDifference(one, other, HORIZON).estimate() == pytest.approx(areas[0] - areas[1], rel=1e-9)


def test_the_interval_is_students_of_what_pairs_saw():
    one, other = pair(np.random.default_rng(1))
    h = np.median(one) / 2
    each = np.minimum(one, h) - np.minimum(other, h)
    seen = int(np.sum(np.minimum(one, other) <= h))
    assert 6 <= seen < 32
    told = stats.t.interval(0.9, seen - 1, each.mean(), stats.sem(each))
    np.testing.assert_allclose(RestrictedDifference(one, other, h).interval(0.9), told, rtol=1e-9)
    back = RestrictedDifference(other, one, h).interval(0.9)
    np.testing.assert_allclose(back, -np.array(told)[::-1], rtol=1e-9)


def test_pairs_that_are_both_too_late_leave_a_mean_where_a_median_is_lost():
    """Half of the pairs differ by 300 to 700 of 1,000 steps, the others not before the end."""
    never = np.full(32, 1000.0), np.full(32, np.inf)
    some = np.r_[np.linspace(300, 700, 16), never[0][16:]], np.r_[np.linspace(300, 700, 16), never[1][16:]]
    what = RestrictedDifference(never, some, 1000.0)
    assert what.estimate() == pytest.approx(250)
    assert what.interval(0.999)[0] > 0


def test_runs_that_were_lost_and_windows_that_many_share_are_allowed_for_at_both_ends():
    one, other = np.full(8, 50.0), np.arange(10.0, 18.0)
    exact = RestrictedDifference(one, other, 100.0).interval(0.95)
    lost = one.copy(), np.r_[one[1:], np.inf]
    low, high = RestrictedDifference(lost, other, 100.0).interval(0.95)
    assert low == pytest.approx(exact[0])
    assert high > exact[1] + 50 / 8
    low, high = RestrictedDifference((one - 5, one + 5), other, 100.0).interval(0.95)
    np.testing.assert_allclose((low, high), (exact[0] - 5, exact[1] + 5))


def test_below_six_pairs_seen_the_share_of_such_pairs_bounds_the_mean():
    late = np.full(32, 200.0)
    soon = np.r_[np.full(5, 10.0), late[5:]]
    most = 100 * blaker(5, 32, 0.95)[1]
    assert RestrictedDifference(late, soon, 100.0).interval(0.95) == (-most, most)
    lost = np.r_[np.full(3, 10.0), late[3:]], np.r_[np.full(3, np.inf), late[3:]]
    assert RestrictedDifference(late, lost, 100.0).interval(0.95)[1] == 100 * blaker(3, 32, 0.95)[1]
    assert RestrictedDifference([np.nan], [1.0], 100.0).seeds == 0


@pytest.mark.parametrize("horizon", [0.0, np.inf, np.nan])
def test_what_is_no_horizon_is_told_in_a_line(horizon):
    with pytest.raises(ArgumentError, match="expected a number of steps"):
        RestrictedDifference(np.ones(3), np.ones(3), horizon).interval(0.95)
    with pytest.raises(ArgumentError, match="pairs need the same seeds"):
        RestrictedDifference(np.ones(3), np.ones(4), 1.0).estimate()
