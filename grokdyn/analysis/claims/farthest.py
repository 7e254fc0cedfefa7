"""The largest of many distances of means from a theory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import stdtrit

# Draws of the law of the largest of many means.
DRAWS = 4000


@dataclass(frozen=True)
class MaximalError:
    """The largest of the distances of means over seeds from a theory, over many points.

    Its lower end uses a band that holds at all points together (the largest of correlated Student means, by draws that
    keep their correlation); for the upper end a band at each point is enough, since the farthest point is one of them.
    Both ends allow for more than their share of errors: the interval covers at least at its level.

    Attributes:
        values: [seeds, points]; theory: [points].
    """

    values: Any
    theory: Any
    what = "largest distance of a mean from theory"

    @property
    def seeds(self) -> int:
        """Of all points."""
        return len(np.asarray(self.values))

    @cached_property
    def _off(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        values = np.asarray(self.values, np.float64)
        rest = values - values.mean(0)
        error = np.sqrt((rest**2).sum(0) / max(len(values) - 1, 1) / len(values))
        return np.abs(values.mean(0) - np.asarray(self.theory, np.float64)), error, rest

    @cached_property
    def _largest(self) -> np.ndarray:
        """Draws of the largest of the Student means of all points, as correlated as they are."""
        _, error, rest = self._off
        n = len(rest)
        scaled = rest / np.where(error > 0, error * np.sqrt(n * (n - 1)), 1)
        rng = np.random.default_rng(0)
        normal = rng.standard_normal((DRAWS, n)) / np.sqrt(rng.chisquare(n - 1, (DRAWS, 1)) / (n - 1))
        return np.abs(normal @ scaled).max(1)

    def estimate(self) -> float:
        """The largest distance seen, which is above the true one where many points are alike."""
        return float(self._off[0].max())

    def interval(self, level: float) -> tuple[float, float]:
        """From a band at all points together, and one at each."""
        off, error, rest = self._off
        n = len(rest)
        if n < 2:
            return 0.0, np.inf
        each = float(stdtrit(n - 1, (1 + level) / 2))
        together = max(float(np.quantile(self._largest, (1 + level) / 2)), each)
        return float(max((off - together * error).max(), 0)), float((off + each * error).max())
