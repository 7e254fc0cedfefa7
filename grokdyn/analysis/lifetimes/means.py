"""The restricted mean of a time, and the share of runs to which another event came first."""

from __future__ import annotations

import numpy as np
from scipy.special import stdtrit

from .curve import Curve


def restricted_mean(found: Curve, horizon: float, confidence: float = 0.95) -> tuple[float, float, float]:
    """Return the mean of min(T, horizon) = int_0^horizon S, with the ends of its interval.

    The variance is sum_j A_j^2 d_j / (y_j (y_j - d_j)), A_j being the area behind the j-th event, times n / (n - 1), n
    the events. The interval is Student's with n - 1 degrees of freedom, for the logit of mean / horizon.
    """
    area = area_to(found, horizon)
    inner = found.steps
    # An event is spread over its interval; half of it lies before the middle.
    middle = np.where(np.isfinite(inner.begin), (inner.begin + inner.end) / 2, inner.end)
    behind = area - np.array([area_to(found, t) for t in np.minimum(middle, horizon)])
    left = inner.at_risk - inner.events
    terms = np.where(left > 1e-9, behind**2 * inner.events / (inner.at_risk * np.where(left > 1e-9, left, 1)), 0.0)
    count = float(inner.events.sum())
    if count <= 1:
        return area, float("nan"), float("nan")
    share = min(max(area / horizon, 1e-12), 1 - 1e-12)
    error = np.sqrt(terms.sum() * count / (count - 1)) / horizon / (share * (1 - share))
    half = stdtrit(count - 1, (1 + confidence) / 2) * error
    logit = np.log(share / (1 - share))
    low, high = (float(horizon / (1 + np.exp(-end))) for end in (logit - half, logit + half))
    return area, low, high


def area_to(found: Curve, end: float) -> float:
    """Return the area below a curve from 0 to a time."""
    inside = found.time < end
    times = np.concatenate([found.time[inside], [end]])
    before = float(found.value[np.searchsorted(found.time, end, side="left") - 1]) if inside.any() else 1.0
    place = np.searchsorted(found.time, end, side="left")
    last = before
    if 0 < place < len(found.time) and found.time[place] > found.time[place - 1]:
        share = (end - found.time[place - 1]) / (found.time[place] - found.time[place - 1])
        last = before + share * (float(found.value[place]) - before)
    values = np.concatenate([found.value[inside], [last]])
    return float(np.sum(np.diff(times) * (values[1:] + values[:-1]) / 2))


def incidence(low: np.ndarray, high: np.ndarray, other: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return the share of runs to which another event had come first by some times (Aalen & Johansen 1978).

    Sum over the other events of S(t-) / y(t), S of whichever came first, taken at the records that showed them.

    Args:
        other: whether a run had the other event, at its low [runs].
    """
    end = np.where(np.isfinite(high), high, low)
    at, inverse = np.unique(end, return_inverse=True)
    both = np.bincount(inverse, np.isfinite(high) | other, len(at))
    these = np.bincount(inverse, other.astype(float), len(at))
    risk = len(end) - np.concatenate([[0], np.cumsum(np.bincount(inverse, minlength=len(at)))[:-1]])
    survival = np.concatenate([[1.0], np.cumprod(1 - both / risk)])[:-1]
    found = np.concatenate([[0.0], np.cumsum(survival * these / risk)])
    return found[np.searchsorted(at, times, side="right")]
