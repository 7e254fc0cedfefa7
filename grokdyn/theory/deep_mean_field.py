"""Deep networks of infinite width that learn features (Bordelon & Pehlevan 2022, arXiv 2205.09653).

f(x) = F E[a . phi(h^L(x))], the expectation over the units of the last hidden layer. In full-batch descent each layer
has a law of its own. With G the products of inputs, e_k minus the derivative of the loss by output k at a train row,
d^l descent's signal in a pre-activation, and the averages over units Phi^l = E[phi(h^l) phi(h^l)], D^l = E[d^l d^l],

    h^1(t) = u^1 + s sum_{q < t} G d^1(q),
    h^l(t) = u^l(t) + sum_{q < t} [v A^{l-1}(t, q) + s Phi^{l-1}(t, q)] d^l(q),                  l = 2 .. L,
    z^l(t) = r^l(t) + sum_{q <= t} v B^{l+1}(t, q) phi(h^l(q)) + sum_{q < t} s D^{l+1}(t, q) phi(h^l(q)),    l < L,
    z^L = sum_k a_k e_k,    d^l = phi'(h^l) z^l,    a_k(t + 1) = a_k(t) + s sum phi(h^L(t)) e_k(t),

sums being over train rows too. u^l and r^l are Gaussian processes of covariance v Phi^{l-1} and v D^{l+1}, products
with the weights of step 0, and A^l = E[d phi(h^l(t)) / d r^l(q)], B^l = E[d d^l(t) / d u^l(q)] tell that it is the same
weights on the way back. Of a network f = c sum_i a_i phi(h_i), hidden layers of which divide by the root of N, F = c N
and s = r c at rate r, as in ``theory.mean_field``; for F to infinity at s F fixed no unit moves.

Nothing depends on later steps, so the law is integrated once, from step to step, over a sample of units with the
averages that it has itself; responses are over a part of it. The sample's own error is measured by drawing anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy import linalg, special

from grokdyn.theory.mean_field import Learned, Scales

Array = np.ndarray
# phi, phi', phi''; one with a kink has none, and its responses are no means over units.
SMOOTH: dict[str, tuple[Callable[[Array], Array], ...]] = {
    "erf": (
        special.erf,
        lambda h: 2 / np.sqrt(np.pi) * np.exp(-np.square(h)),
        lambda h: -4 / np.sqrt(np.pi) * h * np.exp(-np.square(h)),
    ),
    "tanh": (np.tanh, lambda h: 1 - np.tanh(h) ** 2, lambda h: -2 * np.tanh(h) * (1 - np.tanh(h) ** 2)),
    "identity": (lambda h: h, np.ones_like, np.zeros_like),
}
# Added to a variance of 1 before a root is taken of what may be singular.
JITTER, TINY = 1e-9, 1e-300


class Size(NamedTuple):
    """Units of each layer's sample, of them for responses, and samples, whose spread tells the error."""

    units: int = 2048
    responding: int = 256
    repeats: int = 2


SIZE = Size()


def learning(
    gram: Array,
    train: Array,
    slope: Callable[[Array], Array],
    outputs: int,
    steps: int,
    layers: int,
    scales: Scales,
    size: Size = SIZE,
    seed: int = 0,
) -> Learned:
    """Return the outputs after 0, 1, ... steps updates [steps + 1, rows, outputs].

    Args:
        gram: G between all rows [rows, rows]; train: bool [rows].
        slope: outputs of the train rows [n, outputs] -> the derivative of the whole loss by each.
        layers: L, hidden ones.
        scales: F, s, v / m^2, u and phi, as in ``theory.mean_field``; v is that of all weights but the readout's.
        size: of the samples.

    Raises:
        ValueError: for fewer than one layer, fewer than two repeats, a decay, an activation that is not smooth.
    """
    if layers < 1 or size.repeats < 2:
        raise ValueError(f"layers, repeats: got {layers}, {size.repeats}; allowed: at least 1, at least 2")
    if scales.phi not in SMOOTH or scales.decay:
        raise ValueError(f"phi, decay: got {scales.phi!r}, {scales.decay}; allowed: {', '.join(SMOOTH)}, and 0")
    found = np.stack(
        [
            list(Population(gram, train, outputs, layers, scales, size, rng).descend(slope, steps))
            for rng in np.random.default_rng(seed).spawn(size.repeats)
        ]
    )
    return Learned(found.mean(0), found.std(0, ddof=1) / np.sqrt(size.repeats))


class Process:
    """A Gaussian process drawn from step to step for all units, given its covariance so far.

    The second half of the units has the values of the first, times ``mirror``.
    """

    def __init__(self, units: int, mirror: int, rng: np.random.Generator):
        self.mirror, self.rng = mirror, rng
        self.root, self.normal = np.zeros((0, 0)), np.zeros((units // 2, 0))

    def draw(self, covariance: Array) -> Array:
        """Return the values [units, new] that come next.

        Args:
            covariance: of the new ones with all before and then with themselves [new, before + new].
        """
        new, before = len(covariance), len(self.root)
        known = covariance[:, :before].T
        past = linalg.solve_triangular(self.root, known, lower=True).T if before else np.zeros((new, 0))
        left = covariance[:, before:] - past @ past.T
        sizes, directions = np.linalg.eigh((left + left.T) / 2)
        floor = JITTER * max(float(np.trace(covariance[:, before:])) / new, TINY)
        mine = np.linalg.qr((directions * np.sqrt(np.maximum(sizes, floor))).T)[1].T
        self.root = np.block([[self.root, np.zeros((before, new))], [past, mine]])
        self.normal = np.concatenate([self.normal, self.rng.standard_normal((len(self.normal), new))], axis=1)
        values = self.normal @ np.concatenate([past, mine], axis=1).T
        return np.concatenate([values, self.mirror * values])


class Response:
    """Derivatives of a layer's h, phi(h) and d by u or r at train rows, for some of its units.

    Attributes:
        way: "u" or "r"; fired, signal: of phi(h) and d at train rows [units, steps * n, steps * n], as far as they are
            known, 0 beyond; h: of the latest h at train rows [units, n, steps * n].
    """

    def __init__(self, way: str, units: int, size: int, at: Array):
        self.way, self.at, self.n = way, at, len(at)
        self.fired, self.signal = (np.zeros((units, size, size), np.float32) for _ in range(2))
        self.h: Array = np.zeros(0)

    def forward(self, moves: Array, slopes: Array, step: int) -> Array:
        """Return the mean derivative of phi(h) at a step [rows, step * n], and remember those at train rows.

        Args:
            moves: what signals of before make of h [rows, step * n]; slopes: phi' [units, rows].
        """
        before, now = step * self.n, slice(step * self.n, (step + 1) * self.n)
        slopes = slopes.astype(np.float32)[..., None]
        change = moves.astype(np.float32) @ self.signal[:, :before, : now.stop]
        if before < self.signal.shape[1]:
            self.h = change[:, self.at]
            if self.way == "u":
                self.h[:, :, now] += np.eye(self.n, dtype=np.float32)
            self.fired[:, now, : now.stop] = slopes[:, self.at] * self.h
        return (slopes * change[:, :, :before]).astype(np.float64).mean(axis=0)

    def back(self, returns: Array, slopes: Array, bends: Array, step: int) -> Array:
        """Return the mean derivative of d at a step [n, (step + 1) * n], and remember it.

        Args:
            returns: what phi(h) makes of z [n, (step + 1) * n]; slopes: phi', bends: phi'' z [units, n].
        """
        now = slice(step * self.n, (step + 1) * self.n)
        change = returns.astype(np.float32) @ self.fired[:, : now.stop, : now.stop]
        if self.way == "r":
            change[:, :, now] += np.eye(self.n, dtype=np.float32)
        signal = bends.astype(np.float32)[..., None] * self.h + slopes.astype(np.float32)[..., None] * change
        self.signal[:, now, : now.stop] = signal
        return signal.astype(np.float64).mean(axis=0)


class Hidden:
    """One hidden layer: what its units did so far, and what its neighbours know of it.

    Attributes:
        fired: phi(h) [units, rows] at every step; signal: d [units, n] at every step.
        by: responses to u, where there is a layer below, and to r, where there is one above.
        answer: A at the latest step [rows, steps * n]; returned: B [n, steps * n].
    """

    def __init__(self, units: int, responses: dict[str, Response], rng: np.random.Generator):
        self.forward, self.back = Process(units, 1, rng), Process(units, -1, rng)
        self.fired: list[Array] = []
        self.signal: list[Array] = []
        self.by = responses
        self.h: Array = np.zeros(0)
        self.start: Array = np.zeros(0)
        self.answer: Array = np.zeros(0)
        self.returned: Array = np.zeros(0)


class Population:
    """A sample of units of every layer, that descends."""

    def __init__(self, gram: Array, train: Array, outputs: int, layers: int, scales: Scales, size: Size, rng: Any):
        self.gram, self.at, self.scales = gram, np.flatnonzero(train), scales
        self.phi, self.slope, self.bend = SMOOTH[scales.phi]
        self.units, self.layers, self.size, self.rng = size.units // 2 * 2, layers, size, rng
        a = np.sqrt(scales.readout) * rng.standard_normal((self.units // 2, outputs))
        # Mirrored, so that f is 0 at first.
        self.a = np.concatenate([a, -a])
        self.errors: list[Array] = []  # e [n, outputs] at every step

    def descend(self, slope: Callable[[Array], Array], steps: int) -> Iterator[Array]:
        """Yield the outputs [rows, outputs] after every number of updates from 0 to ``steps``."""
        last, self.responding = self.layers - 1, min(self.size.responding, self.units)
        self.hidden = []
        for place in range(self.layers):
            ways = "u" * (place > 0) + "r" * (place < last)
            responses = {way: Response(way, self.responding, steps * len(self.at), self.at) for way in ways}
            self.hidden.append(Hidden(self.units, responses, self.rng))
        for step in range(steps + 1):
            for place in range(self.layers):
                self.go_forward(place, step)
            fired = self.hidden[-1].fired[-1]
            f = self.scales.output / self.units * fired.T @ self.a
            yield f
            if step < steps:
                self.errors.append(-slope(f[self.at]))
                for place in range(last, -1, -1):
                    self.go_back(place, step)
                self.a = self.a + self.scales.step * fired[:, self.at] @ self.errors[-1]

    def go_forward(self, place: int, step: int) -> None:
        """Find h of a layer at a step, with its derivatives."""
        layer, moves = self.hidden[place], self.onward(place, step)
        if place == 0 and step == 0:
            layer.start = layer.forward.draw(self.scales.variance * self.gram)
        if place == 0:
            layer.h = layer.start
        else:
            below = self.hidden[place - 1].fired
            layer.h = layer.forward.draw(self.scales.variance * below[-1].T @ joined(below) / self.units)
        if step:
            layer.h = layer.h + joined(layer.signal) @ moves.T
        layer.fired.append(self.phi(layer.h))
        slopes = self.slope(layer.h[: self.responding])
        for way, response in layer.by.items():
            answer = response.forward(moves, slopes, step)
            if way == "r":
                layer.answer = answer

    def onward(self, place: int, step: int) -> Array:
        """Return what signals of before make of h of a layer at a step [rows, step * n]."""
        if place == 0:
            return np.tile(self.scales.step * self.gram[:, self.at], (1, step))
        below = self.hidden[place - 1]
        if not step:
            return np.zeros((len(self.gram), 0))
        learned = below.fired[step].T @ joined(below.fired[:step], self.at) / self.units
        return self.scales.step * learned + self.scales.variance * below.answer

    def go_back(self, place: int, step: int) -> None:
        """Find d of a layer at a step, with its derivatives."""
        layer, now = self.hidden[place], step * len(self.at)
        above = self.hidden[place + 1] if place < self.layers - 1 else None
        if above is None:
            among = self.errors[-1] @ np.concatenate(self.errors).T
        else:
            among = above.signal[-1].T @ joined(above.signal) / self.units
        returns = self.scales.step * among
        # What is learned at a step is there from the next one on; what was there at first answers at once.
        returns[:, now:] = 0
        if above is None:
            z = self.a @ self.errors[-1].T
        else:
            returns = returns + self.scales.variance * above.returned
            z = layer.back.draw(self.scales.variance * among) + joined(layer.fired, self.at) @ returns.T
        seen = layer.h[:, self.at]
        layer.signal.append(self.slope(seen) * z)
        some = slice(0, self.responding)
        for way, response in layer.by.items():
            found = response.back(returns, self.slope(seen[some]), self.bend(seen[some]) * z[some], step)
            if way == "u":
                layer.returned = found


def joined(values: list[Array], columns: Array | slice = slice(None)) -> Array:
    """Return arrays [units, columns] of all steps, at least one, as [units, steps * columns]."""
    return np.concatenate([one[:, columns] for one in values], axis=1)
