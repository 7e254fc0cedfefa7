"""Which places of a fine grid to run next: where neighbours disagree, where the line is known least, and elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from .surface import Surface

# Of a batch, the share that goes to where nothing has been run: what refines only what it has seen finds no islands.
ELSEWHERE = 0.1
# Of those where a line is likely, so many places are weighed against each other.
MOST_PLACES = 1500


class Seen(NamedTuple):
    """What has been run.

    Attributes:
        nodes: indices into the fine grid, each once [nodes, 2]; repeats: how many times all seeds of a place have been
            run [nodes]; yes: for every question the share of runs that say yes, nan where nothing is known
            [questions, nodes].
    """

    nodes: np.ndarray
    repeats: np.ndarray
    yes: np.ndarray


def coarse(size: tuple[int, int]) -> np.ndarray:
    """Return the places to begin with, about 1.4 sqrt(n) along an axis of n, its ends among them [nodes, 2]."""
    axes = [np.unique(np.round(np.linspace(0, n - 1, min(n, max(4, round(1.4 * np.sqrt(n))))))) for n in size]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2).astype(np.int64)


def following(surfaces: Sequence[Surface], seen: Seen, seeds: int, count: int) -> list[tuple[int, int, int]]:
    """Return the next places as (i, j, repeat), so many unless there are fewer left that would tell anything.

    First places between neighbours that disagree, the widest gaps first, until gaps are as narrow as the transition
    is wide: more of them would only find its noise. Then, one after the other, whichever lowers most the variance of
    eta where the line may be (Picheny et al. 2010), which may be another set of seeds of a place. A tenth goes to the
    places furthest from all others.
    """
    size = surfaces[0].size
    places = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), axis=-1).reshape(-1, 2)
    repeats = np.zeros(size, np.int64)
    repeats[tuple(seen.nodes.T)] = seen.repeats
    chosen: list[tuple[int, int, int]] = []

    def take(wanted: np.ndarray) -> None:
        for i, j in wanted:
            chosen.append((int(i), int(j), int(repeats[i, j])))
            repeats[i, j] += 1

    far = int(np.ceil(ELSEWHERE * count)) if (repeats == 0).any() else 0
    take(spaced(between(surfaces, seen, places), seen.nodes, count - far, 0.0))
    occupied = np.argwhere(repeats > 0)
    take(spaced(places[(repeats == 0).ravel()], occupied, min(far, count - len(chosen)), 1.0))
    take(telling(surfaces, places, seeds, count - len(chosen)))
    return chosen


def between(surfaces: Sequence[Surface], seen: Seen, places: np.ndarray) -> np.ndarray:
    """Return places that were not run yet, beside the border of two that disagree, where gaps are wide [n, 2]."""
    owner, gap = nearest(seen.nodes, places, surfaces[0].size)
    wanted = np.zeros(owner.shape, bool)
    for surface, yes in zip(surfaces, seen.yes, strict=True):
        share = yes[owner]
        for here, ahead in (((slice(None, -1), slice(None)), (slice(1, None), slice(None))), COLUMNS):
            border = (owner[here] != owner[ahead]) & (np.abs(share[here] - share[ahead]) > 0.5)
            wanted[here] |= border
            wanted[ahead] |= border
        width = 2 / np.maximum(np.hypot(*surface.slope(places).T).reshape(owner.shape), 1e-300)
        wanted &= (gap > 0) & (gap >= np.minimum(width, max(owner.shape)) / 2)
    return np.argwhere(wanted)


COLUMNS = ((slice(None), slice(None, -1)), (slice(None), slice(1, None)))


def nearest(nodes: np.ndarray, places: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return for every place of the fine grid which node is nearest, and how far it is along the longer axis."""
    from scipy.spatial import KDTree

    gap, owner = KDTree(nodes).query(places, p=np.inf)
    return np.reshape(owner, size), np.reshape(gap, size)


def spaced(candidates: np.ndarray, taken: np.ndarray, count: int, apart: float) -> np.ndarray:
    """Return so many candidates, each furthest from those taken and chosen before it, while that is above ``apart``."""
    from scipy.spatial import KDTree

    found = np.zeros((max(count, 0), 2), np.int64)
    if not len(candidates) or count <= 0:
        return found[:0]
    gap = KDTree(taken).query(candidates, p=np.inf)[0]
    for row in range(count):
        best = int(np.argmax(gap))
        if gap[best] <= apart:
            return found[:row]
        found[row] = candidates[best]
        gap = np.minimum(gap, np.abs(candidates - candidates[best]).max(1))
    return found


def telling(surfaces: Sequence[Surface], places: np.ndarray, seeds: int, count: int) -> np.ndarray:
    """Return the places that lower most the variance of where the lines may be, one after the other [n, 2].

    Runs not made yet are given their expected information, so that a batch spreads along the lines. The same place may
    come several times.
    """
    chance = np.stack([chances(surface, places) for surface in surfaces])
    kept = np.argsort(-(chance / chance.max(1, keepdims=True)).max(0), kind="stable")[:MOST_PLACES]
    places, chance = places[kept], chance[:, kept]
    together = [(w := surface.whitened(places)).T @ w for surface in surfaces]
    informed = [seeds * information(s, places, np.diag(t)) for s, t in zip(surfaces, together, strict=True)]
    found = []
    for _ in range(max(count, 0)):
        gains = [c @ t**2 / (1 / i + np.diag(t)) for c, t, i in zip(chance, together, informed, strict=True)]
        best = int(np.argmax(np.sum(gains, axis=0)))
        found.append(places[best])
        for k, t in enumerate(together):
            together[k] = t - np.outer(t[best], t[best]) / (1 / informed[k][best] + t[best, best])
    return np.asarray(found, np.int64).reshape(-1, 2)


def chances(surface: Surface, places: np.ndarray) -> np.ndarray:
    """Return how likely the line is at places, times the variance of its position that one of eta means [places].

    The density of eta at zero times its slope is the line's length in a cell; errors of position are those of eta over
    its slope.
    """
    eta, error = surface.at(places), surface.error(places)
    slope = np.maximum(np.hypot(*surface.slope(places).T), 1e-3 * np.exp(surface.scales.noise))
    return np.exp(-((eta / error) ** 2) / 2) / error / slope + 1e-300


def information(surface: Surface, places: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Return what a run is expected to tell of eta: p (1 - p) of a logistic, p the mean over what eta may be."""
    noise = np.exp(surface.scales.noise)
    p = expit(surface.at(places) / np.sqrt(noise**2 + variance * np.pi / 8))
    return np.maximum(p * (1 - p), 1e-6) / noise**2
