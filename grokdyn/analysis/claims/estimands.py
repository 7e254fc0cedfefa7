"""What a claim is about: a number of the law that runs are drawn from, with an interval at any level.

Every one has `seeds`, how many independent runs (or pairs) tell of it, `estimate()`, and `interval(level)`, the ends of
a two-sided interval. Times may be known to an interval only, (low, high], and are later than low where high is inf;
they are given as one array of values, or as a pair of arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.special import stdtrit

from . import windows
from .medians import arms, ends, of_median
from .shares import blaker, place

# Logarithms from here on have no exponential among floats.
LARGEST = 700.0


class Estimand(Protocol):
    """What ``Claim`` needs to know of an estimand."""

    @property
    def what(self) -> str:
        """What it is, in words."""
        ...

    @property
    def seeds(self) -> int:
        """How many independent runs, or pairs of runs, there are."""
        ...

    def estimate(self) -> float:
        """Return the best single value; nan where there is none."""
        ...

    def interval(self, level: float) -> tuple[float, float]:
        """Return the ends of a two-sided interval."""
        ...


@dataclass(frozen=True)
class Probability:
    """That a run of a new seed does what is asked.

    The interval is Blaker's (see ``blaker``). A run that is undecided counts as either: both ends allow for it.

    Attributes:
        hits: 1 or True where a run did, 0 or False where not, nan where its records do not tell [runs].
    """

    hits: Any
    what = "probability"

    @property
    def _counts(self) -> tuple[int, int, int]:
        values = np.asarray(self.hits, np.float64).ravel()
        yes, open_ = int(np.sum(values == 1)), int(np.sum(np.isnan(values)))
        return yes, open_, len(values)

    @property
    def seeds(self) -> int:
        """The runs that tell."""
        _, open_, n = self._counts
        return n - open_

    def estimate(self) -> float:
        """The share of the runs that tell."""
        yes, open_, n = self._counts
        return yes / (n - open_) if n > open_ else np.nan

    def interval(self, level: float) -> tuple[float, float]:
        """Blaker's interval."""
        yes, open_, n = self._counts
        return blaker(yes, n, level)[0], blaker(yes + open_, n, level)[1]


@dataclass(frozen=True)
class Median:
    """The median over seeds.

    The interval is where the mid-p band of the survival curve comes to a half (see ``curve``): without censoring that
    of order statistics. An upper end of inf is "above all that was seen".

    Attributes:
        times: [runs], or their lower and upper ends.
    """

    times: Any
    what = "median"

    @property
    def seeds(self) -> int:
        """The runs of which anything is known."""
        return len(ends(self.times)[0])

    def estimate(self) -> float:
        """Where the curve comes to a half."""
        return of_median(*ends(self.times), None)[0]

    def interval(self, level: float) -> tuple[float, float]:
        """Where its band does."""
        return of_median(*ends(self.times), level)[1:]

    def place(self, value: float, level: float) -> tuple[float, float, float]:
        """The share of runs below a value, with its interval."""
        return place(value, *ends(self.times), level)


@dataclass(frozen=True)
class Contrast:
    """A ratio or difference of two arms.

    Paired, by the seed: the median over seeds of the ratio one / other or difference one - other. A pair of times that
    are known between two records is known to a window, which is not taken for when one happened to look: its ends hang
    on the times themselves (see ``windows``). Pairs of which only a bound is known lie anywhere beyond it. Else that of
    the two medians, its interval from theirs (Donner & Zou 2012, for a ratio on logarithms): with m +- its two
    distances l, u the lower end of m1 - m2 is m1 - m2 - sqrt(l1^2 + u2^2).

    Attributes:
        one, other: times of the arms; paired, of the same seeds in the same order.
        how: "ratio" (of values above 0) or "difference".
    """

    one: Any
    other: Any
    how: str = "ratio"
    paired: bool = True

    @property
    def what(self) -> str:
        """In words."""
        return f"median {self.how} of pairs" if self.paired else f"{self.how} of medians"

    @property
    def seeds(self) -> int:
        """Pairs, or the runs of the smaller arm."""
        return len(self._pairs()[0]) if self.paired else min(len(ends(arm)[0]) for arm in (self.one, self.other))

    def _pairs(self) -> tuple[np.ndarray, np.ndarray]:
        a, b, c, d = arms(self.one, self.other)
        with np.errstate(divide="ignore", invalid="ignore"):
            low, high = (a / d, b / c) if self.how == "ratio" else (a - d, b - c)
        # Where neither arm came to it nothing is known of the pair; nor where one was never observed.
        return ends((low, high))

    def estimate(self) -> float:
        """The median of pairs, or the contrast of medians."""
        if self.paired:
            return windows.estimate(*self._pairs(), self.how == "ratio")
        one, other = (of_median(*ends(arm), None)[0] for arm in (self.one, self.other))
        return contrast(one, other, self.how)

    def interval(self, level: float) -> tuple[float, float]:
        """Of the median, or of the two medians."""
        if self.paired:
            return windows.interval(*self._pairs(), self.how == "ratio", level)
        both = [np.array(of_median(*ends(arm), level)) for arm in (self.one, self.other)]
        with np.errstate(divide="ignore", invalid="ignore"):
            (m, l, u), (n, k, v) = (np.log(np.maximum(arm, 0)) if self.how == "ratio" else arm for arm in both)
            down, up = m - n - np.hypot(m - l, v - n), m - n + np.hypot(u - m, n - k)
        low, high = -np.inf if np.isnan(down) else float(down), np.inf if np.isnan(up) else float(up)
        return (math.exp(low), math.exp(high) if high < LARGEST else np.inf) if self.how == "ratio" else (low, high)


def contrast(one: float, other: float, how: str) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.divide(one, other)) if how == "ratio" else float(np.subtract(one, other))


@dataclass(frozen=True)
class Order:
    """The smallest of the differences from each arm to the next: above 0 where the arms are in this order.

    The difference of two arms is that of ``Contrast``. The interval reaches from the smallest lower to the smallest
    upper end, the upper ends at a level that allows for there being several.

    Attributes:
        arms: times of each, in the order that is claimed, the smallest first.
    """

    arms: tuple[Any, ...]
    paired: bool = True

    @property
    def what(self) -> str:
        """In words."""
        return "smallest step up" + (", by pairs" if self.paired else " of medians")

    def _steps(self) -> list[Contrast]:
        pairs = zip(self.arms[1:], self.arms, strict=False)
        return [Contrast(above, below, "difference", self.paired) for above, below in pairs]

    @property
    def seeds(self) -> int:
        """Of the arms with the fewest."""
        return min(step.seeds for step in self._steps())

    def estimate(self) -> float:
        """The smallest step."""
        return float(np.min([step.estimate() for step in self._steps()]))

    def interval(self, level: float) -> tuple[float, float]:
        """From the smallest lower to the smallest upper end."""
        steps = self._steps()
        upper = 1 - (1 - level) / len(steps)
        return min(s.interval(level)[0] for s in steps), min(s.interval(upper)[1] for s in steps)


@dataclass(frozen=True)
class Student:
    """A number with a standard error: a mean, an exponent, a ratio of means.

    The interval is value +- t error, t of Student's law with `freedom` degrees of freedom.
    """

    value: float
    error: float
    freedom: float
    seeds: int
    what: str = "mean"

    def estimate(self) -> float:
        """The value."""
        return float(self.value)

    def interval(self, level: float) -> tuple[float, float]:
        """Student's; all numbers where nothing tells how far it is off."""
        half = stdtrit(self.freedom, (1 + level) / 2) * self.error if self.freedom > 0 else np.nan
        return (float(self.value - half), float(self.value + half)) if np.isfinite(half) else (-np.inf, np.inf)


def mean(values: Any, what: str = "mean") -> Student:
    """Return the mean over seeds, nan being no run."""
    values = np.asarray(values, np.float64).ravel()
    values = values[~np.isnan(values)]
    n = len(values)
    error = values.std(ddof=1) / n**0.5 if n > 1 else np.nan
    return Student(float(values.mean()) if n else np.nan, float(error), n - 1, n, what)


def exponent(found: Any, term: str) -> Student:
    """Return an exponent of ``analysis.scaling``."""
    row = found.sel(term=term)
    runs = int(found["runs"])
    freedom = runs - found.sizes["term"]
    return Student(float(row["exponent"]), float(row["standard_error"]), freedom, runs, f"exponent of {term}")
