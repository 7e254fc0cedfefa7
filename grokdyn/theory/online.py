"""Online linear regression, exact at every dimension."""

from __future__ import annotations

import numpy as np


def linear_error(
    steps: np.ndarray, first: float, rate: float, dimension: int, variance: float, batch: int = 1, noise: float = 0.0
) -> np.ndarray:
    """Return the mean squared error of a linear student after updates on batches that are never seen again.

    y = w* . x + e, x ~ N(0, s^2 I_D), e ~ N(0, noise^2), w -= (rate/B) sum of the gradients (w . x - y) x of half the
    squared errors. With u = w - w*, E|u|^2 after one update is q E|u|^2 + rate^2 s^2 noise^2 D / B, where
    q = 1 - 2 rate s^2 + rate^2 s^4 (B + 1 + D) / B: E[x x^T x x^T] = s^4 (D + 2) I for a Gaussian. The error is
    s^2 E|u|^2 + noise^2. ``MSE()`` of one output has twice that gradient: rate is twice its learning rate.

    Args:
        steps: numbers of updates.
        first: E|u|^2 at step 0.
        variance: s^2 of an entry of x; batch: B; noise: standard deviation of e.

    Returns:
        Errors on new examples, noise included, like ``steps``; they grow where q > 1. Raises nothing.
    """
    s2, B, D = variance, batch, dimension
    q = 1 - 2 * rate * s2 + rate**2 * s2**2 * (B + 1 + D) / B
    kick = rate**2 * s2 * noise**2 * D / B
    powers = q ** np.asarray(steps, np.float64)
    grown = np.asarray(steps, np.float64) if q == 1 else (1 - powers) / (1 - q)
    return s2 * (powers * first + kick * grown) + noise**2
