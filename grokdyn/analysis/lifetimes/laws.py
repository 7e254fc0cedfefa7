"""Laws of log T: their logarithms of probabilities and the slopes of these, for times known to an interval.

With z = (log T - mean) / scale: "lognormal": z is normal; "weibull": P(z > x) = exp(-e^x); "loglogistic": P(z > x) =
1 / (1 + e^x).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import expit, log_ndtr


class Law(NamedTuple):
    """Logarithms of the survival, distribution and density of z, and the slope and bend of the last."""

    survival: Callable[[np.ndarray], np.ndarray]
    below: Callable[[np.ndarray], np.ndarray]
    density: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]
    bend: Callable[[np.ndarray], np.ndarray]
    variance: float


def _log1m_exp(x: np.ndarray) -> np.ndarray:
    """Return log(1 - e^x) for x <= 0."""
    return np.where(x > -0.6931, np.log(-np.expm1(np.minimum(x, -1e-300))), np.log1p(-np.exp(np.minimum(x, -0.6931))))


LAWS = {
    "lognormal": Law(
        lambda z: log_ndtr(-z),
        log_ndtr,
        lambda z: -(z**2) / 2 - np.log(2 * np.pi) / 2,
        lambda z: -z,
        lambda z: -np.ones_like(z),
        1.0,
    ),
    "weibull": Law(
        lambda z: -np.exp(z),
        lambda z: _log1m_exp(-np.exp(z)),
        lambda z: z - np.exp(z),
        lambda z: 1 - np.exp(z),
        lambda z: -np.exp(z),
        np.pi**2 / 6,
    ),
    "loglogistic": Law(
        lambda z: -np.logaddexp(0, z),
        lambda z: -np.logaddexp(0, -z),
        lambda z: z - 2 * np.logaddexp(0, z),
        lambda z: 1 - 2 * expit(z),
        lambda z: -2 * expit(z) * expit(-z),
        np.pi**2 / 3,
    ),
}


class Terms(NamedTuple):
    """Log-likelihoods of runs, and their first and second derivatives by the mean m and the log of the scale s."""

    value: np.ndarray
    m: np.ndarray
    s: np.ndarray
    mm: np.ndarray
    ms: np.ndarray
    ss: np.ndarray


def terms(law: Law, low: np.ndarray, high: np.ndarray, mean: np.ndarray, log_scale: float) -> Terms:
    """Return what runs with log T in (low, high] add to a log-likelihood, or at low exactly where both are one."""
    scale = np.exp(log_scale)
    exact = low == high
    a, b = (np.where(np.isfinite(x), (np.where(np.isfinite(x), x, 0) - mean) / scale, x) for x in (low, high))
    value = np.where(exact, 0.0, _log_between(law, a, b))
    ends = [_end(law, z, value) for z in (a, b)]
    # Of an interval: f(b) - f(a) over its probability, and the same with powers of z and the slope of the density.
    (f0, f1, g0, g1, g2), (h0, h1, k0, k1, k2) = ends
    up, by_z = h0 - f0, h1 - f1
    m, s = -up / scale, -by_z
    mm = (k0 - g0) / scale**2 - m**2
    ms = ((k1 - g1) + up) / scale - m * s
    ss = (k2 - g2) + by_z - s**2
    z = np.where(exact, a, 0.0)
    slope, bend = law.slope(z), law.bend(z)
    point = (
        law.density(z) - log_scale - np.where(exact, low, 0.0),
        -slope / scale,
        -slope * z - 1,
        bend / scale**2,
        (bend * z + slope) / scale,
        bend * z**2 + slope * z,
    )
    return Terms(*(np.where(exact, p, i) for p, i in zip(point, (value, m, s, mm, ms, ss), strict=True)))


def _log_between(law: Law, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return log P(a < z <= b), by whichever tail is the smaller."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        upper = law.survival(a)
        upper = upper + _log1m_exp(np.where(np.isposinf(b), -np.inf, law.survival(b) - upper))
        lower = law.below(b)
        lower = lower + _log1m_exp(np.where(np.isneginf(a), -np.inf, law.below(a) - lower))
        middle = np.where(np.isposinf(b), 1.0, np.where(np.isneginf(a), -1.0, (a + b) / 2))
        return np.where(middle > 0, upper, lower)


def _end(law: Law, z: np.ndarray, value: np.ndarray) -> list[np.ndarray]:
    """Return f and z f over the probability at an end, and f', z f' and z^2 f'; nothing where z is infinite."""
    inside = np.isfinite(z)
    x = np.where(inside, z, 0.0)
    with np.errstate(over="ignore"):
        f = np.where(inside, np.exp(np.minimum(law.density(x) - value, 600)), 0.0)
        g = f * np.where(inside, law.slope(x), 0.0)
    return [f, x * f, g, x * g, x**2 * g]
