"""log T = X b + scale z, fitted by likelihood to times known to an interval (accelerated failure time)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .laws import Law, terms

MOST_ROUNDS = 100
# The mean slope of the log-likelihood below which it counts as at its top; near enough for what is only compared.
FLAT, NEAR = 1e-11, 1e-6


class Fit(NamedTuple):
    """Coefficients [columns] with the log of the scale behind them, the log-likelihood and its second derivatives."""

    values: np.ndarray
    log_likelihood: float
    bend: np.ndarray

    @property
    def covariance(self) -> np.ndarray:
        """The inverse of the observed information."""
        return np.linalg.pinv(-self.bend)


def fit(
    law: Law,
    low: np.ndarray,
    high: np.ndarray,
    columns: np.ndarray,
    weight: np.ndarray,
    start: np.ndarray | None = None,
    flat: float = FLAT,
) -> Fit:
    """Maximise the log-likelihood of log T in (low, high] by Newton's method, damped where it does not rise.

    Args:
        low, high: of log T [runs]; -inf and inf where it is bounded on one side only; equal where it is known.
        columns: [runs, columns]; weight: of each run in the likelihood [runs].
        start: coefficients and log of the scale.
    """
    values = guess(low, high, columns) if start is None else start.copy()
    found = evaluated(law, low, high, columns, weight, values)
    damping = 0.0
    for _ in range(MOST_ROUNDS):
        level, slope, bend = found
        if np.abs(slope).max() <= flat * max(weight.sum(), 1):
            break
        ahead = values + step(slope, bend, damping)
        tried = evaluated(law, low, high, columns, weight, ahead)
        if np.isfinite(tried[0]) and tried[0] >= level - 1e-12 * abs(level):
            values, found, damping = ahead, tried, damping / 10 if damping > 1e-6 else 0.0
        elif damping > 1e12:
            break
        else:
            damping = max(10 * damping, 1e-4)
    return Fit(values, found[0], found[2])


def step(slope: np.ndarray, bend: np.ndarray, damping: float) -> np.ndarray:
    """Return a step uphill, also where the likelihood is not concave."""
    size = np.abs(np.diag(bend)) + 1e-12
    information = -bend + np.diag(damping * size)
    least = np.linalg.eigvalsh(information / np.sqrt(np.outer(size, size)))[0]
    if least < 1e-10:
        information = information + np.diag((1e-3 - least) * size)
    found = np.linalg.solve(information, slope)
    return found * min(1.0, 3.0 / max(np.abs(found[-1]), 1e-300))


def guess(low: np.ndarray, high: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return least squares on the middles of intervals, or their finite ends."""
    ends = [np.where(np.isfinite(one), one, other) for one, other in ((low, high), (high, low))]
    middle = np.mean([np.where(np.isfinite(one), one, 0.0) for one in ends], axis=0)
    values = np.linalg.lstsq(columns, middle, rcond=None)[0]
    return np.append(values, np.log(max(float(np.std(middle - columns @ values)), 1e-2)))


def evaluated(law, low, high, columns, weight, values) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the log-likelihood, its slope and its second derivatives."""
    t = terms(law, low, high, columns @ values[:-1], values[-1])
    slope = np.append(columns.T @ (weight * t.m), weight @ t.s)
    side = columns.T @ (weight * t.ms)
    inner = columns.T @ ((weight * t.mm)[:, None] * columns)
    bend = np.block([[inner, side[:, None]], [side[None, :], np.array([[weight @ t.ss]])]])
    return float(weight @ t.value), slope, bend


def resampled(law: Law, low, high, columns, cluster: np.ndarray, best: Fit, resamples: int) -> np.ndarray:
    """Fit again to clusters of runs drawn with replacement (generator seed 0) [resamples, values].

    A draw whose likelihood has no top, such as one in which nothing was reached, is nan.
    """
    rng, count = np.random.default_rng(0), int(cluster.max()) + 1
    found = np.full((resamples, len(best.values)), np.nan)
    for row in found:
        weight = np.bincount(rng.integers(count, size=count), minlength=count)[cluster].astype(float)
        kept = weight > 0
        one = fit(law, low[kept], high[kept], columns[kept], weight[kept], best.values, NEAR)
        if np.linalg.eigvalsh(-one.bend)[0] > 0:
            row[:] = one.values
    return found
