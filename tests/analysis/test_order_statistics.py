"""Ranks of the interval of a median against the binomial law and against draws."""

from math import comb

import numpy as np
import pytest

from grokdyn.analysis.order_statistics import median_rank_interval


@pytest.mark.parametrize(
    ("count", "ranks"), [(6, (0, 5)), (5, (0, 4)), (10, (1, 8)), (40, (13, 26)), (100, (39, 60)), (2000, (955, 1044))]
)
def test_ranks_are_those_of_the_tables(count, ranks):
    assert median_rank_interval(count) == ranks


@pytest.mark.parametrize("count", [8, 25, 60])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_the_next_narrower_interval_would_have_too_little_confidence(count, confidence):
    low, high = median_rank_interval(count, confidence)
    assert low == count - 1 - high

    def covered(low):
        return 1 - 2 * sum(comb(count, k) for k in range(low + 1)) / 2**count

    assert covered(low) >= confidence > covered(low + 1)


def test_drawn_values_have_their_median_between_the_ranks():
    values = np.sort(np.random.default_rng(0).exponential(size=(20_000, 15)), axis=1)
    low, high = median_rank_interval(15)
    inside = np.mean((values[:, low] <= np.log(2)) & (values[:, high] >= np.log(2)))
    assert 0.95 <= inside <= 0.98
