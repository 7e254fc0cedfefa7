"""The mean difference of two times up to a horizon, by pairs: what both arms may be too late for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

from ..checks import ArgumentError
from .medians import arms
from .shares import blaker

# Of how many pairs an arm has to be seen to come to it for Student's law to tell of their mean.
LEAST = 6
# The share of the runs of an arm in one window up to which windows are narrow.
NARROW = 0.25


@dataclass(frozen=True)
class RestrictedDifference:
    """By how many steps one arm is later than the other in the mean, neither being followed beyond a horizon h.

        E[min(T_one, h)] - E[min(T_other, h)] = int_0^h S_one(t) - S_other(t) dt

    the difference of restricted means (Royston & Parmar 2013), here of pairs of the same seed: every one contributes
    min(t_one, h) - min(t_other, h), that of two runs later than h nothing. A median of pairs tells nothing as soon as
    half of them are such; this does, and says of runs later than h only that they are.

    The interval is Student's, with one degree of freedom less than there are pairs in which an arm was seen to come to
    it before h, since those are what it is made of; below ``LEAST`` of these it is +- h times the upper end of their
    share. A time known between two records is taken at the middle, S being linear there as in ``curve``, as long as no
    window holds more than ``NARROW`` of an arm's runs: with one mode the mean is then off by less than a thirtieth of a
    window. Else, and for a run that was lost before h or a window that h lies in, both ends are allowed for.

    Attributes:
        one, other: times of the arms, of the same seeds in the same order [runs], or their lower and upper ends.
        horizon: h, fixed beforehand: the last step at which all runs are followed, or less.
    """

    one: Any
    other: Any
    horizon: float
    what = "difference of restricted means of pairs"

    @property
    def seeds(self) -> int:
        """Pairs of which anything is known."""
        return len(self._differences()[0])

    def estimate(self) -> float:
        """The mean difference, of the middles of what is known."""
        low, high, _, _ = self._differences()
        return float((low + high).mean() / 2) if len(low) else np.nan

    def interval(self, level: float) -> tuple[float, float]:
        """From Student's lower end of the least differences to his upper end of the largest."""
        low, high, seen, lost = self._differences()
        n, told = len(low), int(seen.sum())
        if told < LEAST:
            most = self.horizon * blaker(int((seen | lost).sum()), n, level)[1]
            return -most, most
        wide = stdtrit(told - 1, (1 + level) / 2) / n**0.5
        return float(low.mean() - wide * low.std(ddof=1)), float(high.mean() + wide * high.std(ddof=1))

    def _differences(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return least and largest differences, whether an arm was seen to come to it, and whether one was lost."""
        if not 0 < self.horizon < np.inf:
            raise ArgumentError(f"horizon: got {self.horizon}; expected a number of steps, above 0 and finite.")
        a, b, c, d = arms(self.one, self.other)
        known = ~np.isnan(a + b + c + d)
        (a, b, one), (c, d, other) = (self._arm(low[known], high[known]) for low, high in ((a, b), (c, d)))
        h = self.horizon
        return a - d, b - c, one | other, ~one & (a < h) | ~other & (c < h)

    def _arm(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the ends of times up to the horizon, and which runs were seen to come to it by then."""
        seen = high <= self.horizon
        windows = np.unique(np.stack([low, high])[:, seen & (low < high)], axis=1, return_counts=True)[1]
        low, high = np.minimum(low, self.horizon), np.minimum(high, self.horizon)
        if windows.max(initial=0) <= NARROW * len(low):
            low, high = (np.where(seen, (low + high) / 2, end) for end in (low, high))
        return low, high, seen
