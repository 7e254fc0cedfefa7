"""Ridge regression on features, random ones too, for many rows and features (Loureiro et al. 2021 and others).

n rows v of features, E[v v^T] = Omega, and targets y, E[v y] = c, are fitted by least squares with penalty d |W|^2 on
the sum of squares. In the basis of Omega, eigenvalues l_k, the target's power is v_k^2 = (e_k . c)^2 / l_k; what no
linear readout explains, and noise, are together of variance s^2. If features are Gaussian, or many and spread out
(Gaussian equivalence), the mean errors are to leading order

    n = sum_k L_k + d / K,    L_k = l_k / (l_k + K),
    E_test = n / (n - sum_k L_k^2) ( sum_k (1 - L_k)^2 v_k^2 + s^2 ),    E_train = (d / (n K))^2 E_test,

on fresh targets with their noise. For features phi(A x) of Gaussian x the moments are known in closed form, layer by
layer (``features``). A teacher that is not linear is its linear part and noise, to leading order in the length of x.
Both errors are off by O(1 / n): on n rows of n erf features of 2 n / 3 inputs, penalty .02 n, the test error is by
-.26 / n + 1.6 / n^2 of theory's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import optimize

from grokdyn.theory.infinite_width import CLOSED
from grokdyn.theory.linear import LearningCurves
from grokdyn.theory.mean_field import ACTIVATIONS

Array = np.ndarray
# Nodes of Gauss and Hermite's rule, an even number: none of them in a kink at 0.
NODES = 100
ODD = ("erf", "identity")


class Moments(NamedTuple):
    """Second moments of features v.

    Attributes:
        among: E[v v^T] [N, N]; target: E[v y] [N], or [N, k] where a teacher is drawn: y = sum_j z_j y_j, z ~ N(0, I).
        centred: whether E[v] = 0.
    """

    among: Array
    target: Array
    centred: bool = True


def errors(eigenvalues: Array, powers: Array, rows: int, penalty: float, noise: float) -> LearningCurves:
    """Return train and test error.

    Args:
        eigenvalues: l; powers: v^2 of each.
        rows: n; penalty: d, above 0.
        noise: s^2, the variance of all that the features do not explain.

    Raises:
        ValueError: for no rows or a penalty that is not above 0.
    """
    l, v2 = (np.asarray(one, np.float64) for one in (eigenvalues, powers))
    if rows < 1 or not penalty > 0:
        raise ValueError(f"rows, penalty: got {rows}, {penalty}; allowed: from 1 on, above 0")
    # Between what the penalty alone and what all features together make of it.
    low, high = penalty / rows, (penalty + l.sum()) / rows
    K: Any = optimize.brentq(lambda K: np.sum(l / (l + K)) + penalty / K - rows, low * (1 - 1e-9), high * (1 + 1e-9))
    L = l / (l + K)
    test = rows / (rows - np.sum(L**2)) * (np.sum((1 - L) ** 2 * v2) + noise)
    return LearningCurves(np.asarray((penalty / (rows * K)) ** 2 * test), np.asarray(test))


def of_moments(moments: Moments, rows: int, penalty: float, power: float) -> LearningCurves:
    """Return train and test error on features of these moments, ``power`` being E[y^2] with its noise.

    Raises:
        ValueError: as ``errors``.
    """
    l, basis = np.linalg.eigh(moments.among)
    there = l > 1e-12 * l[-1]
    v2 = np.zeros_like(l)
    v2[there] = np.square(basis.T @ moments.target.reshape(len(l), -1)).sum(1)[there] / l[there]
    return errors(np.maximum(l, 0), v2, rows, penalty, power - v2.sum())


def features(below: Moments, weights: Array, phi: str) -> Moments:
    """Return the moments of phi(A v) [N], A [N, below], where v is Gaussian or, layers up, as good as that.

    Args:
        below: moments of v; of inputs x ~ N(0, I/D) and y = w . x they are I/D and w/D.
        weights: A; phi: one of relu, erf, identity, square.

    Raises:
        ValueError: for another activation, or features below whose mean is not 0.
    """
    if not below.centred:
        raise ValueError("below: got features whose mean is not 0; allowed: inputs, or features by erf or identity")
    if phi not in CLOSED:
        raise ValueError(f"phi: got {phi!r}; allowed: {', '.join(CLOSED)}, which have closed forms")
    A = np.asarray(weights, np.float64)
    covariance = A @ below.among @ A.T
    variance = np.diagonal(covariance)
    z, weight = np.polynomial.hermite_e.hermegauss(NODES)
    slopes = ACTIVATIONS[phi][1](np.sqrt(variance)[:, None] * z) @ weight / np.sqrt(2 * np.pi)
    value = CLOSED[phi](variance[:, None], covariance, variance[None]).value
    # Stein: E[phi(g) y] = E[phi'(g)] E[g y] where y is linear; else for rows of A that hardly lie along the teacher.
    seen = A @ below.target
    return Moments(value, slopes.reshape(-1, *[1] * (seen.ndim - 1)) * seen, phi in ODD)


def bayes_optimal(rows: int, dimension: int, teacher_std: float, noise_std: float) -> float:
    """Return the least mean test error of y = w . x + e, x ~ N(0, I/D), w ~ N(0, teacher_std^2 I).

    It is that of ridge regression on x itself with the penalty noise_std^2 / teacher_std^2, the mean of w given rows.

    Raises:
        ValueError: unless both deviations are above 0.
    """
    if not (teacher_std > 0 and noise_std > 0):
        raise ValueError(f"teacher_std, noise_std: got {teacher_std}, {noise_std}; allowed: above 0")
    l = np.full(dimension, 1 / dimension)
    return float(errors(l, teacher_std**2 * l, rows, (noise_std / teacher_std) ** 2, noise_std**2).test)
