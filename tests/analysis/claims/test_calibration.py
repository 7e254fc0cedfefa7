"""Intervals cover the truth as often as they say, and verdicts are false no more often than they say."""

import numpy as np
import pytest
from scipy import stats

from grokdyn.analysis.claims import Probability
from tests.analysis.claims.calibration import CASES, WIDE, covered, false_folders

MANY, FEW = 2000, 200
QUICK = (
    "probability .6",
    "median, records",
    "ratio of pairs, records",
    "ratio of close pairs, narrow records",
    "exponent, records",
    "restricted mean, records",
    "restricted difference of pairs, records, 70 % after the budget",
)


@pytest.mark.parametrize("name", QUICK)
def test_an_interval_covers_in_a_few_experiments(name):
    below, inside, above = covered(name, FEW)
    # Within what chance allows of a coverage from 93 to 97 %, once in ten thousand.
    assert stats.binom(FEW, 0.93).ppf(1e-4) <= inside * FEW <= stats.binom(FEW, 0.97).ppf(1 - 1e-4)
    assert max(below, above) < 0.08


@pytest.mark.parametrize(("seeds", "mean"), [(20, 0.966), (32, 0.963), (100, 0.958)])
def test_a_share_is_covered_as_often_as_an_enumeration_says(seeds, mean):
    """At no share less often than .95, and in the mean over shares not much more often."""
    ends = np.asarray([Probability(np.arange(seeds) < k).interval(0.95) for k in range(seeds + 1)])
    shares = np.linspace(0.02, 0.98, 193)[:, None]
    inside = (ends[:, 0] <= shares) & (shares <= ends[:, 1])
    covered = np.sum(stats.binom(seeds, shares).pmf(np.arange(seeds + 1)) * inside, axis=1)
    assert covered.min() >= 0.95
    assert covered.mean() == pytest.approx(mean, abs=0.001)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_an_interval_covers_from_93_to_97_percent(name):
    assert 0.93 <= covered(name, MANY)[1] <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("name", WIDE)
def test_an_interval_that_is_wide_by_construction_covers_at_least_at_its_level(name):
    assert covered(name, MANY)[1] >= 0.95


def test_records_as_coarse_as_pairs_are_far_apart_do_not_narrow_an_interval():
    assert covered("ratio of pairs, records farther apart than pairs", FEW)[1] >= 0.95


@pytest.mark.slow
def test_a_folder_has_a_false_verdict_at_most_once_in_twenty():
    assert false_folders(MANY) <= 0.05
