"""The median of times that are known between two records, and its interval."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..checks import ArgumentError
from ..lifetimes.curve import curve


def ends(times: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of times [runs], without runs of which nothing is known."""
    low, high = times if isinstance(times, tuple) else (times, times)
    low, high = (np.asarray(x, np.float64).ravel() for x in (low, high))
    if low.shape != high.shape:
        raise ArgumentError(f"times: got {len(low)} lower and {len(high)} upper ends; expected as many.")
    known = ~(np.isnan(low) | np.isnan(high))
    low, high = low[known], high[known]
    if np.any(low > high):
        raise ArgumentError("times: a lower end is above its upper end.")
    return low, high


def arms(one: Any, other: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the ends of the times of two arms of pairs [pairs]: those of one, then those of the other."""
    (a, b), (c, d) = (arm if isinstance(arm, tuple) else (arm, arm) for arm in (one, other))
    a, b, c, d = (np.asarray(x, np.float64).ravel() for x in (a, b, c, d))
    if a.shape != c.shape:
        raise ArgumentError(f"one, other: got {len(a)} and {len(c)} runs; pairs need the same seeds in both arms.")
    return a, b, c, d


def of_median(low: np.ndarray, high: np.ndarray, level: float | None) -> tuple[float, float, float]:
    """Return a median with the ends of its interval: where the curve and its band come to a half."""
    if not len(low):
        return np.nan, -np.inf, np.inf
    found = curve(low, high, 0.95 if level is None else level)
    return found.reaches(0.5), found.median_from, found.reaches(0.5, "high")
