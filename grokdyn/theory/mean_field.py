"""Two-layer networks of infinite width that learn features (Mei et al. 2018, Bordelon & Pehlevan 2022).

f(x) = F E[a phi(h(x))], the expectation over units: a pre-activation h ~ N(0, K) on all rows, K = v x . x', and readout
weights a ~ N(0, u) at first. Of a network f = c sum_i a_i phi(m w_i . x) of N units F = c N. Under full-batch gradient
descent with rate r all units follow one law,

    a_k <- (1 - d) a_k - s sum_i g_ik phi(h_i),   h_j <- (1 - d) h_j - s sum_i (g_i . a) phi'(h_i) G_ji,

g_ik the derivative of the loss by output k at train row i, s = r c, d = r lambda the decay, G = m^2 x . x'. Each unit
sees the others through g alone. For F to infinity at s F fixed no unit moves: that is the kernel regime, and 1 / F is
the strength of feature learning, gamma_0 of Bordelon & Pehlevan. At a finite width N means over weights are off by
O(1 / N). For two layers there are no response functions in between, and the law is integrated over a sample of units.

The sample is a scrambled Sobol sequence, each unit with a and with -a, so that f is 0 at first: that subtracts f_0, or
is the limit where c = O(1 / N). It has an error of its own, which ``learning`` measures by scrambling anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from scipy import special
from scipy.stats import norm, qmc

Array = np.ndarray
# Activations with their slopes; those with a kink have slope 0 in it.
ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "relu": (lambda h: np.maximum(h, 0), lambda h: (h > 0).astype(h.dtype)),
    "erf": (special.erf, lambda h: 2 / np.sqrt(np.pi) * np.exp(-np.square(h))),
    "tanh": (np.tanh, lambda h: 1 - np.square(np.tanh(h))),
    "square": (np.square, lambda h: 2 * h),
    "identity": (lambda h: h, np.ones_like),
}


class Scales(NamedTuple):
    """What a network's parameterisation and its rate come to; letters of the module's equations.

    Attributes:
        output: F; step: s; decay: d.
        variance: v / m^2, of a first weight; readout: u, of a readout weight; phi: by name.
    """

    output: float
    step: float
    variance: float = 1.0
    readout: float = 1.0
    decay: float = 0.0
    phi: str = "relu"


class Learned(NamedTuple):
    """Outputs f [times, rows, outputs], and their standard error over scramblings of the sample."""

    mean: Array
    error: Array


def learning(
    gram: Array,
    train: Array,
    slope: Callable[[Array], Array],
    outputs: int,
    steps: Array,
    scales: Scales,
    units: int = 2048,
    repeats: int = 4,
    seed: int = 0,
) -> Learned:
    """Return the outputs after numbers of updates, which rise.

    Args:
        gram: G between all rows [rows, rows].
        train: bool [rows].
        slope: outputs of the train rows [n, outputs] -> the derivative of the whole loss by each.
        units: of a sample, a power of two before each is doubled by -a; repeats: scramblings.

    Raises:
        ValueError: for steps that fall or are below 0, units that are no power of two, fewer than two repeats.
    """
    steps = np.asarray(steps)
    if steps.size == 0 or steps.min() < 0 or np.any(np.diff(steps) < 0):
        raise ValueError("steps: got none, or numbers that fall or are below 0; allowed: rising ones from 0 on")
    if units < 2 or units & (units - 1):
        raise ValueError(f"units: got {units}; allowed: a power of two from 2 on")
    if repeats < 2:
        raise ValueError(f"repeats: got {repeats}; allowed: at least 2, whose spread is the error")
    found = np.stack(
        [
            list(descent(*sample(gram, outputs, scales, units, rng), gram, train, slope, steps, scales))
            for rng in np.random.default_rng(seed).spawn(repeats)
        ]
    )
    return Learned(found.mean(0), found.std(0, ddof=1) / np.sqrt(repeats))


def sample(gram: Array, outputs: int, scales: Scales, units: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return h [2 units, rows] and a [2 units, outputs] before training."""
    sizes, directions = np.linalg.eigh(gram)
    kept = sizes > 1e-12 * sizes[-1]
    root = directions[:, kept] * np.sqrt(sizes[kept] * scales.variance)
    drawn = qmc.Sobol(root.shape[1] + outputs, rng=rng).random(units)
    # A scrambled point may fall on 0 itself.
    z = norm.ppf(np.clip(drawn, 2**-54, 1 - 2**-54))
    h, a = z[:, outputs:] @ root.T, np.sqrt(scales.readout) * z[:, :outputs]
    return np.concatenate([h, h]), np.concatenate([a, -a])


def descent(
    h: Array, a: Array, gram: Array, train: Array, slope: Callable[[Array], Array], steps: Array, scales: Scales
) -> Iterator[Array]:
    """Yield f [rows, outputs] after each of the numbers of updates."""
    phi, dphi = ACTIVATIONS[scales.phi]
    keep, moves, done = 1 - scales.decay, scales.step * gram[train], 0
    for step in steps:
        for _ in range(done, int(step)):
            seen = h[:, train]
            fired = phi(seen)
            g = slope(scales.output / len(a) * fired.T @ a)
            h = keep * h - ((a @ g.T) * dphi(seen)) @ moves
            a = keep * a - scales.step * fired @ g
        done = int(step)
        yield scales.output / len(a) * phi(h).T @ a
