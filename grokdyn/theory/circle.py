"""Exact errors of spectral algorithms on the circle (Velikanov et al. 2024, arXiv 2403.11696).

A kernel sum_l lam_l exp(i l (t - t')) over whole l, a target sum_l c_l exp(i l t) and N equispaced points, whose first
one is anywhere, with noise of variance s^2. Frequencies that differ by N cannot be told apart there, so the eigenvalues
of the kernel between points over N are lam^_k = sum_m lam_{k + Nm}, k = 0 .. N - 1. What an algorithm makes of the mode
of eigenvalue l is h(l) of it (``theory.filters``): l / (l + eta) for ridge regression, 1 - exp(-l t) for gradient flow,
1 - (1 - e l)^t for descent, 1 for interpolation. Means over the first point and the noise are, with h = h(lam^_k) and
sums over m being of frequencies k + Nm,

    E_test = sum_k { sum_m |c|^2 - 2 h sum_m lam |c|^2 / lam^_k + h^2 (sum_m lam^2 / lam^_k^2) P_k },
    E_train = sum_k (1 - h)^2 P_k,    P_k = sum_m |c|^2 + s^2 / N.

For lam = l^-nu, |c|^2 = l^-(kappa + 1) and noise the best error falls as N^-(kappa / (kappa + 1)), where modes of
eigenvalues down to N^-(nu / (kappa + 1)) are learned; ridge regression, which never learns large modes in full, comes
to N^-(2 nu / (2 nu + 1)) at most (it saturates), and interpolation does not get better.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from grokdyn.theory.linear import LearningCurves


class Aliased(NamedTuple):
    """Sums over frequencies that N points cannot tell apart [N], letters of the module's equations.

    Attributes:
        seen: lam^; power: sum of |c|^2; both: of lam |c|^2; square: of lam^2; points: N.
    """

    seen: np.ndarray
    power: np.ndarray
    both: np.ndarray
    square: np.ndarray
    points: int


class Exponents(NamedTuple):
    """How fast the best error falls with the number of points: a of N^-a."""

    descent: float
    ridge: float
    interpolation: float


def power_law(frequencies: int, exponent: float) -> np.ndarray:
    """Return l^-exponent for l = 0 .. frequencies, 1 for 0. Raises nothing."""
    return np.maximum(np.arange(frequencies + 1.0), 1) ** -exponent


def aliased(points: int, eigenvalues: np.ndarray, power: np.ndarray) -> Aliased:
    """Return what N points see of lam_l and |c_l|^2, given for l = 0, 1, ...; those of -l are the same.

    Raises:
        ValueError: for no points, or arrays of two lengths.
    """
    lam, c2 = (np.asarray(one, np.float64) for one in (eigenvalues, power))
    if points < 1 or lam.shape != c2.shape or lam.ndim != 1:
        raise ValueError(f"points, power: got {points}, {c2.shape}; allowed: from 1 on, as many as eigenvalues")
    l = np.arange(-len(lam) + 1, len(lam))
    lam, c2 = lam[np.abs(l)], c2[np.abs(l)]
    seen, power, both, square = (np.bincount(l % points, one, points) for one in (lam, c2, lam * c2, lam**2))
    return Aliased(seen, power, both, square, points)


def errors(fitted: np.ndarray, among: Aliased, noise_std: float = 0.0) -> LearningCurves:
    """Return test errors, without the noise of a fresh target, and train errors.

    Args:
        fitted: h at ``among.seen`` [..., N].
        among: what the points see.
        noise_std: s.

    Raises nothing.
    """
    h, noise = np.asarray(fitted, np.float64), among.power + noise_std**2 / among.points
    # A mode that no frequency has is not fitted.
    there = np.where(among.seen > 0, among.seen, np.inf)
    test = among.power - 2 * h * among.both / there + h**2 * among.square / there**2 * noise
    return LearningCurves(((1 - h) ** 2 * noise).sum(-1), test.sum(-1))


def exponents(eigenvalues: float, target: float) -> Exponents:
    """Return the exponents of learning curves with noise, of nu and kappa.

    Raises:
        ValueError: unless nu is above 1 and kappa above 0.
    """
    if not (eigenvalues > 1 and target > 0):
        raise ValueError(f"eigenvalues, target: got {eigenvalues}, {target}; allowed: above 1, above 0")
    best = target / (target + 1)
    return Exponents(best, min(best, 2 * eigenvalues / (2 * eigenvalues + 1)), 0.0)
