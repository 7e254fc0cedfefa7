"""Order statistics of the rows of a table, where nan means no value and inf means a value beyond what was seen."""

from fractions import Fraction

import numpy as np


def ordered(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort along the last axis, nan last; return it with the number of values that are not nan."""
    values = np.sort(np.asarray(values, np.float64), axis=-1)
    return values, np.sum(~np.isnan(values), axis=-1)


def quantile(values: np.ndarray, count: np.ndarray, q: float) -> np.ndarray:
    """Interpolate the q-quantile linearly between sorted values; nan where it falls on, or next to, an inf."""
    position = np.round(q * np.maximum(count - 1, 0), 9)
    below, above = (
        np.take_along_axis(values, f(position).astype(int)[..., None], -1)[..., 0] for f in (np.floor, np.ceil)
    )
    known = np.isfinite(below) & np.isfinite(above)
    below, above = np.where(known, below, 0.0), np.where(known, above, 0.0)
    return np.where(known, below + (above - below) * (position - np.floor(position)), np.nan)


def median_interval(values: np.ndarray, count: np.ndarray, confidence: float, resamples: int = 4000) -> np.ndarray:
    """Bootstrap a percentile interval for the median (Efron 1979) of each row, shape (2, rows); nan below two values.

    A resample of sorted values has its median at a pair of ranks, so only the ranks are drawn (numpy generator,
    seed 0), once for each number of values; bounds that fall on inf are nan.
    """
    bounds = np.full((2, *count.shape), np.nan)
    for n in np.unique(count[count >= 2]):
        ranks, weight = _median_ranks(int(n), resamples)
        rows = values[count == n][:, :n]
        medians = (rows[:, ranks[0]] + rows[:, ranks[1]]) / 2
        order = np.argsort(medians, axis=-1)
        medians, reached = np.take_along_axis(medians, order, -1), np.cumsum(weight[order], axis=-1)
        for bound, q in zip(bounds, ((1 - confidence) / 2, (1 + confidence) / 2), strict=True):
            at = np.argmax(reached >= q * resamples - 1e-6, axis=-1)
            bound[count == n] = np.take_along_axis(medians, at[:, None], -1)[:, 0]
    return np.where(np.isfinite(bounds), bounds, np.nan)


def _median_ranks(n: int, resamples: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw resamples of n ranks; return the distinct pairs of middle ranks, shape (2, pairs), and their counts."""
    drawn = np.sort(np.random.default_rng(0).integers(n, size=(resamples, n)), axis=-1)
    return np.unique(drawn[:, [(n - 1) // 2, n // 2]].T, axis=1, return_counts=True)


def median_rank_interval(count: int, confidence: float = 0.95) -> tuple[int, int]:
    """Return the ranks, from 0 on, between which the median lies with at least this confidence, whatever the law.

    Of `count` independent values, how many lie below the median is binomial(count, 1/2); the interval is the narrowest
    symmetric one (Thompson 1936). Where even the smallest and largest value do not have the confidence, they are it.
    """
    # Whole numbers: 2^-count underflows from 1075 values on.
    low, below, ways, allowed = 0, 0, 1, Fraction(1 - confidence) * 2**count / 2
    while 2 * low < count - 1 and below + ways <= allowed:
        below += ways
        ways = ways * (count - low) // (low + 1)
        low += 1
    return max(low - 1, 0), count - max(low, 1)
