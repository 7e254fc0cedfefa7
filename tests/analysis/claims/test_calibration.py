"""Intervals cover the truth as often as they say, and verdicts are false no more often than they say."""

import pytest
from scipy import stats

from tests.analysis.claims.calibration import CASES, WIDE, covered, false_folders

MANY, FEW = 2000, 200
QUICK = (
    "probability .6",
    "median, records",
    "ratio of pairs, records",
    "ratio of close pairs, narrow records",
    "exponent, records",
    "restricted mean, records",
)


@pytest.mark.parametrize("name", QUICK)
def test_an_interval_covers_in_a_few_experiments(name):
    below, inside, above = covered(name, FEW)
    # Within what chance allows of a coverage from 93 to 97 %, once in ten thousand.
    assert stats.binom(FEW, 0.93).ppf(1e-4) <= inside * FEW <= stats.binom(FEW, 0.97).ppf(1 - 1e-4)
    assert max(below, above) < 0.08


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
