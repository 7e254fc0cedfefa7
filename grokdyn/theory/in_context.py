"""Linear regression in context by one layer of linear attention (Mahankali, Hashimoto & Ma 2023, arXiv 2307.03576).

A prompt is n pairs x_i ~ N(0, I_d), y_i = w . x_i + e_i, w ~ N(0, I_d), e_i ~ N(0, s^2), and a query x with target
w . x + e. Of all weights of a layer those are best that predict x . eta sum_i y_i x_i: one step of gradient descent
from 0 on the prompt's squared error, at the rate of ``rate``.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def rate(pairs: Any, dimension: int, noise: Any) -> Any:
    """Return the best rate, eta = 1 / (n + d + 1 + s^2), for prompts of n pairs; of numbers, numpy's or traced.

    Where y = f(x) + e of any f whose law no rotation or sign changes, it is E|c|^2 / ((n-1) E|c|^2 + E[y^2 |x|^2]),
    c = E[f(x) x | f].
    """
    return 1 / (pairs + dimension + 1 + noise**2)


def shared_rate(pairs: Any, dimension: int, noise: float) -> float:
    """Return the rate that is best over prompts of the lengths n that are listed, one as likely as another.

    The mean of ``risk`` is quadratic in eta: E n / E[n (n + d + 1 + s^2)].
    """
    n = np.asarray(pairs, np.float64)
    return float(np.sum(n) / np.sum(n / rate(n, dimension, noise)))


def risk(pairs: Any, dimension: int, noise: float, eta: Any = None) -> np.ndarray:
    """Return the mean squared error of one step at a rate, by default the best: s^2 + d (1 - 2 eta n + eta^2 n / eta*).

    At the best rate eta* that is s^2 + d (d + 1 + s^2) / (n + d + 1 + s^2). Noise of the query's target is in it.

    Args:
        pairs: n, an array or a number.
    """
    n = np.asarray(pairs, np.float64)
    best = rate(n, dimension, noise)
    eta = best if eta is None else eta
    return noise**2 + dimension * (1 - 2 * eta * n + eta**2 * n / best)


def matrix_risk(A: np.ndarray, pairs: Any, noise: float) -> np.ndarray:
    """Return the mean squared error of the predictor x . A sum_i y_i x_i: s^2 + d - 2 n tr A + n |A|^2 / eta*.

    It is convex in A, and least at eta* I.

    Args:
        A: [d, d]. pairs: n, an array or a number.
    """
    A, n = np.asarray(A, np.float64), np.asarray(pairs, np.float64)
    if A.ndim != 2 or len(A) != A.shape[1]:
        raise ValueError(f"A: got an array of shape {A.shape}; allowed: a square matrix")
    return noise**2 + len(A) - 2 * n * np.trace(A) + n * np.sum(A**2) / rate(n, len(A), noise)
