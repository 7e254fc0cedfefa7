"""The median of ratios or differences of which each is known to a window only.

Two times between records give a ratio between two ends. A survival curve of such windows (Turnbull) would take their
ends for moments at which somebody looked, which say nothing of the ratio; but they are made of the two times, and the
overlap of windows is no knowledge: where records lie as far apart as the seeds its 95 % intervals cover less than a
tenth. Where windows are narrow, to within half the middle half of the ratios, their middles are as good as the ratios
themselves, since what records round off is then as often up as down. Where they are wider, nothing is assumed of where
in its window a ratio is: the interval reaches from that of all lower ends to that of all upper ends.
"""

from __future__ import annotations

import numpy as np

from .medians import of_median

# A window is narrow up to this share of the distance between the quartiles of the middles.
NARROW = 0.5


def estimate(low: np.ndarray, high: np.ndarray, ratio: bool) -> float:
    """Return the median of the middles of windows [pairs], of ratios on logarithms; bounds are bounds."""
    middle, window = middles(low, high, ratio)
    return of_median(np.where(window, middle, low), np.where(window, middle, high), None)[0]


def interval(low: np.ndarray, high: np.ndarray, ratio: bool, level: float) -> tuple[float, float]:
    """Return the ends of the interval of the median.

    That a pair is bounded on one side only tells of its value, as a slow run makes both ratio and bound; so the lower
    end takes those values, and all windows that are wide, to be as small as they can, the upper end as large.
    """
    if not len(low):
        return of_median(low, high, level)[1:]
    middle, window = middles(low, high, ratio)
    if narrow(low, high, middle, window, ratio):
        low, high = np.where(window, middle, low), np.where(window, middle, high)
    open_ = low < high
    if not open_.any():
        return of_median(low, high, level)[1:]
    finite = np.concatenate([x[np.isfinite(x)] for x in (low, high)])
    far = np.abs(finite).max(initial=0) + 1
    small, large = np.maximum(low, -far), np.where(np.isinf(high), np.inf, high)
    lower = of_median(small, np.where(open_, small, high), level)[1]
    upper = of_median(np.where(open_, np.minimum(large, far), low), large, level)[2]
    return (-np.inf if lower <= -far else lower), upper


def middles(low: np.ndarray, high: np.ndarray, ratio: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the middle of every pair, and which are windows: known on both sides, and not exactly."""
    known = (low > 0 if ratio else np.isfinite(low)) & np.isfinite(high)
    with np.errstate(invalid="ignore"):
        middle = np.sqrt(low * high) if ratio else (low + high) / 2
    return np.where(known, middle, np.nan), known & (low < high)


def narrow(low: np.ndarray, high: np.ndarray, middle: np.ndarray, window: np.ndarray, ratio: bool) -> bool:
    """Return whether windows are narrow beside the distance between the quartiles of the middles."""
    if not window.any():
        return True
    scale = np.log if ratio else np.asarray
    middle_half = np.ptp(np.quantile(scale(middle[~np.isnan(middle)]), (0.25, 0.75)))
    return bool(np.median(scale(high[window]) - scale(low[window])) <= NARROW * middle_half)
