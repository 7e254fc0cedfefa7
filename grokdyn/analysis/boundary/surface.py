"""A smooth surface over the plane of two axes, fitted by likelihood to what is known of each run.

Where the surface passes through zero is the boundary. A run is known to an interval, low < z <= high, of
z = eta(u, v) + scale * logistic noise: a run that did what was asked is below zero, one that did not above, a time is
log(T / level). eta is a Gaussian process in the form of Solin and Särkkä 2020: cosines on a rectangle wider than the
plane, the variances of whose coefficients are its spectral density (Matérn, 5/2). Length scales, amplitude and scale
maximise the evidence in Laplace's approximation (Rasmussen and Williams 2006, 3.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..lifetimes.laws import LAWS, terms

LAW = LAWS["loglogistic"]
# Waves along an axis at most; how much wider than the plane the rectangle is on either side, in lengths of the plane.
WAVES, MARGIN = 9, 0.2
# Standard deviation of a constant, which the runs tell soon.
CONSTANT = 10.0
MOST_ROUNDS, FLAT = 60, 1e-10


class Runs(NamedTuple):
    """What is known of runs: between which ends z lies, where each is in cells of the fine grid.

    Attributes:
        at: places [rows, 2]; low, high: [rows]; weight: how many runs are alike [rows].
    """

    at: np.ndarray
    low: np.ndarray
    high: np.ndarray
    weight: np.ndarray


class Scales(NamedTuple):
    """Logarithms: amplitude of eta, its length scales in lengths of the plane, the scale of the noise."""

    amplitude: float
    across: float
    up: float
    noise: float


# What is expected of the scales before a run is seen, and how far that may be off (both in logarithms).
EXPECTED = Scales(np.log(3.0), np.log(0.5), np.log(0.5), 0.0)
SPREAD = Scales(1.5, 0.7, 0.7, 1.5)
# A transition much narrower than a cell of the fine grid cannot be told from one as wide as this share of it.
NARROWEST = 0.25


@dataclass(frozen=True)
class Surface:
    """eta over a fine grid of so many values along both axes.

    Attributes:
        mean: of the whitened coefficients [waves]; factor: Cholesky factor of their precision, lower.
        evidence: the logarithm of the probability of the runs and scales.
    """

    size: tuple[int, int]
    scales: Scales
    mean: np.ndarray
    factor: np.ndarray
    evidence: float

    @cached_property
    def weights(self) -> np.ndarray:
        return deviations(self.size, self.scales)

    def rows(self, at: np.ndarray) -> np.ndarray:
        """Return what coefficients are multiplied by at places [n, waves]."""
        return cosines(at, self.size) * self.weights

    def at(self, at: np.ndarray) -> np.ndarray:
        """Return eta at places [n]."""
        return self.rows(at) @ self.mean

    def error(self, at: np.ndarray) -> np.ndarray:
        """Return the standard error of eta at places [n]."""
        return np.sqrt((self.whitened(at) ** 2).sum(0))

    def whitened(self, at: np.ndarray) -> np.ndarray:
        """Return errors of eta at places as combinations of independent ones [waves, n]."""
        from scipy.linalg import solve_triangular

        return solve_triangular(self.factor, self.rows(at).T, lower=True)

    def slope(self, at: np.ndarray) -> np.ndarray:
        """Return the gradient of eta at places, a cell of the fine grid as the unit of length [n, 2]."""
        return np.stack([cosines(at, self.size, d) @ (self.weights * self.mean) for d in (0, 1)], axis=1)


def waves(size: tuple[int, int]) -> np.ndarray:
    """Return how many half waves every basis function has along both axes [waves, 2]."""
    most = np.minimum(WAVES, np.asarray(size))
    i, j = np.meshgrid(*(np.arange(m + 1) for m in most), indexing="ij")
    inside = (i / most[0]) ** 2 + (j / most[1]) ** 2 <= 1
    return np.stack([i[inside], j[inside]], axis=1)


def cosines(at: np.ndarray, size: tuple[int, int], derivative: int | None = None) -> np.ndarray:
    """Return the basis functions at places [n, waves], or their derivative along an axis, per cell."""
    found = np.ones((len(at), len(waves(size))))
    plane = 2 * at / (np.asarray(size) - 1) - 1
    if derivative is not None:
        plane = np.zeros_like(plane) + 2 * np.eye(2)[derivative] / (size[derivative] - 1)
    for d, count in enumerate(waves(size).T):
        length = size[d] - 1
        rate = np.pi * count / (length * (1 + 2 * MARGIN))
        phase = (at[:, d, None] + MARGIN * length) * rate
        height = np.where(count > 0, np.sqrt(2.0), 1.0)
        found *= height * (-rate * np.sin(phase) if d == derivative else np.cos(phase))
    return np.concatenate([found, plane], axis=1)


def deviations(size: tuple[int, int], scales: Scales) -> np.ndarray:
    """Return the standard deviation of every coefficient [waves]."""
    count = waves(size)
    bent = (np.pi * count / (1 + 2 * MARGIN) * np.exp([scales.across, scales.up])) ** 2
    density = (1 + bent.sum(1) / 5) ** -3.5
    variance = np.exp(2 * scales.amplitude) * density / density.sum()
    steep = (np.asarray(size) - 1) / (4 * NARROWEST) * np.exp(max(scales.noise, 0.0))
    return np.append(np.sqrt(variance + CONSTANT**2 * (count.sum(1) == 0)), steep)


def fit(runs: Runs, size: tuple[int, int], timed: bool = False) -> Surface:
    """Fit a surface to runs, its scales by their evidence.

    Args:
        size: values of the fine grid along both axes.
        timed: the runs are times, which tell the scale of their noise; else it is one.
    """
    basis = cosines(runs.at, size)
    best = given_scales(runs, basis, size, EXPECTED)
    names = ("amplitude", "across", "up", *(("noise",) if timed else ()))
    stride = np.log(3.0)
    while stride > np.log(1.12):
        moved = False
        for name in names:
            for sign in (1, -1):
                scales = bounded(best.scales._replace(**{name: getattr(best.scales, name) + sign * stride}), size)
                tried = given_scales(runs, basis, size, scales, best)
                if tried.evidence > best.evidence + 1e-3:
                    best, moved = tried, True
                    break
        stride = stride if moved else stride / 2
    return best


def bounded(scales: Scales, size: tuple[int, int]) -> Scales:
    """Return scales that a fine grid can tell: no slope steeper than a cell resolves, no bend closer than waves are."""
    lengths = np.asarray(size) - 1
    across, up = np.clip([scales.across, scales.up], np.log(0.05), np.log(5.0))
    steepest = np.log(min(np.exp([across, up]) * lengths) / NARROWEST) + max(scales.noise, 0.0)
    noise = np.clip(scales.noise, np.log(1e-3), np.log(10.0))
    return Scales(min(scales.amplitude, steepest), float(across), float(up), float(noise))


def given_scales(
    runs: Runs, basis: np.ndarray, size: tuple[int, int], scales: Scales, start: Surface | None = None
) -> Surface:
    """Fit a surface whose scales are known, by Newton's method."""
    from scipy.linalg import cho_factor, cho_solve

    rows = basis * deviations(size, scales)
    mean = np.zeros(rows.shape[1]) if start is None else start.mean * start.weights / deviations(size, scales)
    level, slope, bend = evaluated(runs, rows, mean, scales.noise)
    for _ in range(MOST_ROUNDS):
        step = cho_solve(cho_factor(bend, lower=True), slope)
        rise = float(step @ slope)
        if rise < FLAT * max(1.0, abs(level)):
            break
        share = 1.0
        while share > 1e-6:
            tried = evaluated(runs, rows, mean + share * step, scales.noise)
            if tried[0] >= level:
                break
            share /= 2
        mean, (level, slope, bend) = mean + share * step, tried
    factor = np.linalg.cholesky(bend)
    off = (np.asarray(scales) - np.asarray(EXPECTED)) / np.asarray(SPREAD)
    evidence = level - np.log(np.diag(factor)).sum() - (off**2).sum() / 2
    return Surface(size, scales, mean, factor, float(evidence))


def evaluated(runs: Runs, rows: np.ndarray, mean: np.ndarray, noise: float) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the logarithm of likelihood and prior at coefficients, its slope and minus its second derivatives."""
    t = terms(LAW, runs.low, runs.high, rows @ mean, noise)
    level = float(runs.weight @ t.value - mean @ mean / 2)
    slope = rows.T @ (runs.weight * t.m) - mean
    bend = rows.T @ ((runs.weight * -t.mm)[:, None] * rows)
    bend[np.diag_indices_from(bend)] += 1
    return level, slope, bend


def thinner(runs: Runs) -> Runs:
    """Return runs with those that are alike counted together."""
    table = np.column_stack([runs.at, runs.low, runs.high])
    distinct, which = np.unique(table, axis=0, return_inverse=True)
    weight = np.bincount(which.ravel(), runs.weight)
    return Runs(distinct[:, :2], distinct[:, 2], distinct[:, 3], weight)
