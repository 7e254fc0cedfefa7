"""ReLU networks of one input that interpolate at least norm (Boursier & Flammarion 2023; Joshi, Vardi & Srebro 2024).

Two-layer networks of any width that meet y_i at x_i with a free linear part, at the least sum of squares of all other
weights and biases, are the functions that minimise

    int sqrt(1 + t^2) |f''(t)| dt,    f(x_i) = y_i,

a linear programme in the kinks of f. Without biases in the norm it is int |f''|, of which the linear spline is one
minimiser. Where targets are noise of variance s^2 the spline is tempered: inside, the mean of f^2 is (2/3) s^2 for any
law of the points. At least norm f overshoots where neighbouring kinks have one sign, by spikes whose height is as the
inverse of a gap: of L_p risks only those of p < 2 stay bounded in probability.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import optimize, special

Array = np.ndarray
# Of the largest change of slope: what a programme leaves where there is no kink.
ZERO = 1e-9


class Interpolant(NamedTuple):
    """f(t) = offset + slope t + sum_j bends_j (t - kinks_j)+.

    Attributes:
        cost: int sqrt(1 + t^2) |f''|; bound: what no interpolant is below, kinks anywhere.
    """

    kinks: Array
    bends: Array
    slope: float
    offset: float
    cost: float
    bound: float

    def __call__(self, t: Array) -> Array:
        """Return f(t), like t."""
        t = np.asarray(t, np.float64)
        return self.offset + self.slope * t + np.maximum(t[..., None] - self.kinks, 0) @ self.bends


def least_norm(x: Array, y: Array, between: int = 32) -> Interpolant:
    """Return the interpolant of least norm with kinks at the points and at ``between`` places in each gap.

    ``bound`` scales the multipliers of the programme until kinks anywhere, on a finer grid, could not lower the cost,
    and so tells how far the places are from enough.

    Raises:
        ValueError: for fewer than three points, or points that do not rise.
    """
    x, y = sorted_points(x, y)
    t = places(x, between)
    ramps = np.maximum(x[:, None] - t, 0)
    weights = np.sqrt(1 + t**2)
    equal = np.concatenate([ramps, -ramps, x[:, None], np.ones((len(x), 1))], axis=1)
    limits = [(0, None)] * (2 * len(t)) + [(None, None)] * 2
    found = optimize.linprog(np.r_[weights, weights, 0, 0], A_eq=equal, b_eq=y, bounds=limits, method="highs")
    bends = found.x[: len(t)] - found.x[len(t) : -2]
    there = np.abs(bends) > ZERO * np.abs(bends).max()
    multipliers = found.eqlin.marginals
    fine = places(x, 16 * between)
    worst = np.max(np.abs(np.maximum(x[:, None] - fine, 0).T @ multipliers) / np.sqrt(1 + fine**2))
    bound = float(multipliers @ y) / max(1.0, float(worst))
    return Interpolant(t[there], bends[there], float(found.x[-2]), float(found.x[-1]), float(found.fun), bound)


def spline(x: Array, y: Array) -> Interpolant:
    """Return the linear spline, which goes on beyond the points as in the gaps at the ends.

    Raises:
        ValueError: as ``least_norm``.
    """
    x, y = sorted_points(x, y)
    slopes = np.diff(y) / np.diff(x)
    bends = np.diff(slopes)
    cost = float(np.sqrt(1 + x[1:-1] ** 2) @ np.abs(bends))
    return Interpolant(x[1:-1], bends, float(slopes[0]), float(y[0] - slopes[0] * x[0]), cost, 0.0)


def spline_risk(power: float) -> float:
    """Return the mean of |f|^p inside the points for a linear spline of noise N(0, 1).

    Between two points f is N(0, u^2 + (1 - u)^2), u uniform, whatever their gap. The mean is E |z|^p times the integral
    of (u^2 + (1 - u)^2)^(p/2) over u, 2/3 for p = 2, where noise itself has 1.

    Raises:
        ValueError: for p that is not above 0.
    """
    if not power > 0:
        raise ValueError(f"power: got {power!r}; allowed: a number above 0")
    u, weight = np.polynomial.legendre.leggauss(60)
    moment = 2 ** (power / 2) * special.gamma((power + 1) / 2) / np.sqrt(np.pi)
    return float(moment * weight @ ((1 + u**2) / 2) ** (power / 2) / 2)


def risk(f: Interpolant, x: Array, power: float, nodes: int = 400) -> float:
    """Return the mean of |f|^p between the outermost of the points x.

    Kinks and points cut the line into pieces on which f is linear; each has ``nodes`` midpoints. Raises nothing.
    """
    cuts = np.unique(np.concatenate([f.kinks, x]))
    cuts = cuts[(cuts >= x.min()) & (cuts <= x.max())]
    width = np.diff(cuts)
    t = cuts[:-1, None] + width[:, None] * (np.arange(nodes) + 0.5) / nodes
    return float(np.sum(width * np.mean(np.abs(f(t)) ** power, axis=1)) / (x.max() - x.min()))


def places(x: Array, between: int) -> Array:
    """Return the points and so many places in every gap, in rising order."""
    part = np.arange(between + 1) / (between + 1)
    return np.append((x[:-1, None] + np.diff(x)[:, None] * part).ravel(), x[-1])


def sorted_points(x: Array, y: Array) -> tuple[Array, Array]:
    """Return points and targets in float64."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 1 or x.shape != y.shape or len(x) < 3 or np.any(np.diff(x) <= 0):
        raise ValueError("x, y: got fewer than three points, or points that do not rise; allowed: rising x, as many y")
    return x, y
