"""A median of values that are known to intervals, wherever in these they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .estimands import Median


@dataclass(frozen=True)
class Between:
    """The median over seeds of values known to an interval each, whose place within it nothing is assumed of.

    The interval reaches from the lower end of that of the lower ends to the upper end of that of the upper ones; it
    covers at least at its level. ``Median`` of the same ends takes overlaps of intervals for knowledge of the law, as a
    survival curve may where when one looks has nothing to do with the times. Ratios of two sizes on the same grid have
    ends that hang on the values themselves.

    Attributes:
        low, high: ends of the values [runs].
    """

    low: Any
    high: Any
    what = "median, wherever in their intervals values are"

    @property
    def seeds(self) -> int:
        """The runs of which anything is known."""
        return Median(self.low).seeds

    def estimate(self) -> float:
        """The middle of the medians of both ends; the lower one where the upper has no bound."""
        low, high = float(Median(self.low).estimate()), float(self._upper().estimate())
        return (low + high) / 2 if np.isfinite(high) else low

    def interval(self, level: float) -> tuple[float, float]:
        """From the lower ends' to the upper ends'."""
        return Median(self.low).interval(level)[0], self._upper().interval(level)[1]

    def _upper(self) -> Median:
        """Return the median of the upper ends; those without a bound are above all others."""
        high = np.asarray(self.high, np.float64)
        return Median((np.where(np.isinf(high), np.max(high, where=np.isfinite(high), initial=0), high), high))
