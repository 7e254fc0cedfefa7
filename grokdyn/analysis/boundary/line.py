"""Where a surface passes through zero, and how well that is known."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .surface import Surface

# Places between neighbouring values of the fine grid at which a surface is looked at.
FINER = 4
DRAWS = 2000


class Line(NamedTuple):
    """Points of a boundary, in cells of the fine grid.

    Attributes:
        at: [points, 2]; length: of the boundary that a point stands for; error: the standard error of where it is,
            across the boundary; critical: times which error, in eta, the whole boundary lies in the band.
    """

    at: np.ndarray
    length: np.ndarray
    error: np.ndarray
    critical: float

    def known_to(self, share: float = 0.95, z: float = 1.96) -> float:
        """Return the half width of the pointwise 95 % band that a share of the length has at most; inf without one."""
        if not len(self.at):
            return np.inf
        order = np.argsort(self.error)
        reached = np.cumsum(self.length[order]) >= share * self.length.sum() * (1 - 1e-9)
        return float(z * self.error[order][np.argmax(reached)])


def line(surface: Surface, confidence: float = 0.95) -> Line:
    """Return the points where a surface changes its sign, with their standard errors.

    The band of a boundary is where |eta| <= critical * error of eta: a pointwise one has the normal quantile, that of
    all points together the quantile of the largest of |eta's error / its standard error| along the line, of 2000 draws
    (generator seed 0), as Ruppert, Wand and Carroll 2003 (6.5) have it of curves. Across the line eta's error is that
    over its slope.
    """
    at = crossings(surface)
    if not len(at):
        return Line(at, np.zeros(0), np.zeros(0), np.nan)
    slope = surface.slope(at)
    steep = np.maximum(np.hypot(*slope.T), 1e-300)
    # Grid lines are crossed |cos| + |sin| times in a unit of length, by the angle of the line.
    length = steep / np.maximum(np.abs(slope).sum(1), 1e-300) / FINER
    whitened = surface.whitened(at)
    error = np.sqrt((whitened**2).sum(0))
    draws = np.random.default_rng(0).standard_normal((DRAWS, len(whitened)))
    critical = np.quantile(np.abs(draws @ (whitened / error)).max(1), confidence)
    return Line(at, length, error / steep, float(critical))


def crossings(surface: Surface) -> np.ndarray:
    """Return where a surface changes its sign along the lines of a grid finer than its own [points, 2]."""
    axes = [np.linspace(0, n - 1, FINER * (n - 1) + 1) for n in surface.size]
    places = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    eta = surface.at(places.reshape(-1, 2)).reshape(places.shape[:2])
    found = []
    for d in (0, 1):
        ahead = (slice(1, None), slice(None)) if d == 0 else (slice(None), slice(1, None))
        here = (slice(None, -1), slice(None)) if d == 0 else (slice(None), slice(None, -1))
        changes = np.signbit(eta[here]) != np.signbit(eta[ahead])
        low, high = eta[here][changes], eta[ahead][changes]
        share = (low / (low - high))[:, None]
        found.append(places[here][changes] * (1 - share) + places[ahead][changes] * share)
    return np.concatenate(found)
