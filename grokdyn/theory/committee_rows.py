"""The committee machine of Kumar et al. (2024) on given rows, by no more units than inputs have entries.

f = (alpha/N) sum_i phi(w_i . x), phi(h) = h + (epsilon/2) h^2, less f_0 where that is subtracted. With g_r the
derivative of the whole loss by f at row r, the gradient in unit i is p + Q w_i, the same map for all units,

    p = (alpha/N) sum_r g_r x_r,    Q = (alpha epsilon/N) sum_r g_r x_r x_r^T,

as on the population (``theory.committee_population``). So full-batch descent with any loss and target hangs on the
units [D, N] by W 1 and W W^T alone, which stay what they are when units are turned by an orthogonal matrix: D + 1 units
and a vector o in the place of 1, |o|^2 = N, are exact at every number of rows, entries and units,

    W <- k W - eta (Q W + p o^T),    f = (alpha/N) (x . W o + (epsilon/2) |x W|^2),    k what decay leaves.

Moments alone would do, but rounding in directions that few units leave empty can grow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from grokdyn.theory.committee_population import Rates

Array = np.ndarray


class Units(NamedTuple):
    """Units that stand for N others: W [D, m] and o [m], which a sum over units is weighed by."""

    weights: Array
    ones: Array

    @classmethod
    def of(cls, W: Array) -> Units:
        """Return those of W [D, N], m the least of N and D + 1."""
        D, N = W.shape
        if N <= D + 1:
            return cls(W, np.ones(N))
        basis = np.linalg.qr(np.concatenate([W.T, np.ones((N, 1))], axis=1))[0]
        return cls(W @ basis, basis.sum(axis=0))

    @classmethod
    def many(cls, D: int, N: int) -> Units:
        """Return D + 1 units whose moments are those of N to infinity, w_i ~ N(0, I): W o = 0 and W W^T = N I.

        Losses of a network of N are off by O(1 / N) in the mean, by O(N^-1/2) by its seed. Raises nothing.
        """
        return cls(N**0.5 * np.eye(D, D + 1), N**0.5 * np.eye(D + 1)[D])


def outputs(
    x: Array,
    train: Array,
    slope: Callable[[Array], Array],
    first: Units,
    rates: Rates,
    steps: Array,
    decay: float = 0.0,
) -> Array:
    """Return f [steps, rows] after numbers of updates, which rise.

    Args:
        x: all rows [rows, D]; train: bool [rows].
        slope: f of the train rows [n] -> the derivative of the whole loss by each.
        first: units at step 0; rates: what scales the function and its updates.
        decay: what an update takes off every weight, from 0 to below 1.

    Raises:
        ValueError: for steps that fall or are below 0.
    """
    steps = np.asarray(steps)
    if steps.size == 0 or steps.min() < 0 or np.any(np.diff(steps) < 0):
        raise ValueError("steps: got none, or numbers that fall or are below 0; allowed: rising ones from 0 on")
    start = function(x, first, rates) if rates.centred else np.zeros(len(x))
    seen, begun = x[train], start[train]
    units = descent(seen, lambda now: slope(function(seen, now, rates) - begun), first, rates, steps, 1 - decay)
    return np.stack([function(x, now, rates) - start for now in units])


def descent(
    x: Array, slope: Callable[[Units], Array], now: Units, rates: Rates, steps: Array, keep: float
) -> Iterator[Units]:
    """Yield the units after each of the numbers of updates."""
    eta = rates.step * rates.alpha / rates.units / (rates.alpha**2 if rates.rescaled else 1)
    done = 0
    for step in steps:
        for _ in range(done, int(step)):
            W, g = now.weights, slope(now)
            Q = rates.epsilon * (x.T * g) @ x
            now = now._replace(weights=keep * W - eta * (Q @ W + np.outer(g @ x, now.ones)))
        done = int(step)
        yield now


def function(x: Array, units: Units, rates: Rates) -> Array:
    """Return f [rows], nothing subtracted. Raises nothing."""
    h = x @ units.weights
    return rates.alpha / rates.units * (h @ units.ones + 0.5 * rates.epsilon * np.sum(h**2, axis=1))
