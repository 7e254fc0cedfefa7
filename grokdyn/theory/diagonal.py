"""The gradient flow of diagonal linear networks with weight decay, exactly, in as many numbers as there are rows.

f_c(x) = w_c . x, w = u^2 - v^2, u = v = alpha at t = 0, training loss L and decay lambda:
du/dt = -2 u dL/dw - lambda u, dv/dt = 2 v dL/dw - lambda v. With G = int_0^t dL/dw ds the flow is

    w(t) = -2 alpha^2 exp(-2 lambda t) sinh(4 G),   u v = alpha^2 exp(-2 lambda t),

and G = X^T Z, where Z holds what every train row's dL/df has come to: dZ/dt = dL/df(X w), [rows, outputs]. So rows
times outputs numbers are integrated, however many inputs there are.

Lyu et al. 2024 (dichotomy of early and late phase implicit biases, arXiv 2311.18817): for large alpha and lambda t
below log alpha the network is a kernel machine, of l2 bias: weights of size 1 are those of small G, where sinh is
linear. Soon after, alpha^2 exp(-2 lambda t) is below 1, only large G make weights of size 1, and the bias is l1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.integrate import solve_ivp


class Weights(NamedTuple):
    """Weights w [t, D, outputs] and what G is made of, Z [t, rows, outputs], at given times."""

    w: np.ndarray
    z: np.ndarray


def weights(x: np.ndarray, z: np.ndarray, time: float, alpha: float, decay: float = 0.0) -> np.ndarray:
    """Return w [D, outputs] for rows x [n, D] and Z [n, outputs] at a time; raises nothing."""
    G = x.T @ z
    return alpha**2 * (np.exp(-4 * G - 2 * decay * time) - np.exp(4 * G - 2 * decay * time))


def flow(
    x: np.ndarray,
    slope: Callable[[np.ndarray], np.ndarray],
    times: np.ndarray,
    alpha: float,
    decay: float = 0.0,
    accuracy: float = 1e-8,
) -> Weights:
    """Return the gradient flow from u = v = alpha.

    Args:
        x: train rows [n, D].
        slope: from f [n, outputs] at the train rows to dL/df, such as ``logistic(labels)``.
        times: in rising order, from 0 on.
        accuracy: of Z, relative.

    Raises:
        ValueError: for times that fall or are below 0.
    """
    times = np.asarray(times, np.float64)
    if not times.size or times[0] < 0 or np.any(np.diff(times) < 0):
        raise ValueError(f"times: got {times!r}; allowed: at least one, rising, from 0 on")
    n = len(x)
    shape = slope(np.zeros((n, 1))).shape

    def rate(time: float, z: np.ndarray) -> np.ndarray:
        return slope(x @ weights(x, z.reshape(shape), time, alpha, decay)).ravel()

    end = max(times[-1], np.finfo(float).tiny)
    start = np.zeros(int(np.prod(shape)))
    found = solve_ivp(rate, (0, end), start, "LSODA", times, rtol=accuracy, atol=1e-3 * accuracy)
    z = found.y.T.reshape(len(times), *shape)
    return Weights(np.stack([weights(x, one, t, alpha, decay) for one, t in zip(z, times, strict=True)]), z)


def softmax(labels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return dL/df of the mean cross-entropy with labels, one-hot [n, outputs]; raises nothing."""

    def slope(f: np.ndarray) -> np.ndarray:
        e = np.exp(f - f.max(1, keepdims=True)) * np.ones_like(labels, float)
        return (e / e.sum(1, keepdims=True) - labels) / len(labels)

    return slope


def squares(y: np.ndarray, divisor: float) -> Callable[[np.ndarray], np.ndarray]:
    """Return dL/df of the sum of squares over a divisor, for targets y [n, outputs]; raises nothing."""

    def slope(f: np.ndarray) -> np.ndarray:
        return 2 * (f - y) / divisor

    return slope
