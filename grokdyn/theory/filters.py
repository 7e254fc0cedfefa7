"""Spectral filters: what gradient descent, momentum, weight decay and ridge make of a mode of least squares.

A mode of eigenvalue l of the second moments, best fitted by w, begins at w_0. After t steps of rate e on half the sum
of squares plus (decay / 2) |w|^2 it is at p_t w_0 + h_t w, with the residual polynomial p_t of what descends,

    p_0 = 1, p_1 = 1 - e k, p_{t+1} = (1 + m - e k) p_t - m p_{t-1},   h_t = (l / k) (1 - p_t),   k = l + decay,

m the momentum (Polyak 1964, as PyTorch has it). The flow has p_t = exp(-k t), ridge regression p = 0, which is where
all of them go.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Filter(NamedTuple):
    """What is left of the start, p, and of the best fit, h, by mode; arrays as eigenvalues and steps broadcast."""

    left: np.ndarray
    fitted: np.ndarray


def ridge(eigenvalues: np.ndarray, penalty: float) -> Filter:
    """Return the filter of ridge regression, l / (l + penalty); 0 for modes of eigenvalue 0. Raises nothing."""
    l = np.asarray(eigenvalues, np.float64)
    return Filter(np.zeros_like(l), _share(l, penalty))


def flow(eigenvalues: np.ndarray, times: np.ndarray, decay: float = 0.0) -> Filter:
    """Return the filter of gradient flow with weight decay after some times. Raises nothing."""
    l = np.asarray(eigenvalues, np.float64)
    left = np.exp(-(l + decay) * times)
    return Filter(left, _share(l, decay) * (1 - left))


def descent(
    eigenvalues: np.ndarray, steps: np.ndarray, rate: float, momentum: float = 0.0, decay: float = 0.0
) -> Filter:
    """Return the filter of gradient descent.

    Args:
        steps: whole numbers of updates.
        rate: step size e; it diverges where e (l + decay) is above 2 (1 + momentum).
        momentum: m, from 0 to below 1.

    Raises:
        ValueError: for a momentum outside [0, 1).
    """
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum: got {momentum!r}; allowed: from 0 to below 1")
    l = np.asarray(eigenvalues, np.float64)
    left = residual(rate * (l + decay), np.asarray(steps), momentum)
    return Filter(left, _share(l, decay) * (1 - left))


def residual(x: np.ndarray, steps: np.ndarray, momentum: float = 0.0) -> np.ndarray:
    """Return p_t at x = rate (l + decay), from the two roots of its recursion, r^2 = (1 + m - x) r - m. Raises nothing.

    Accurate to 1e-9 but within 1e-6 of where the roots meet, (1 - sqrt m)^2 and (1 + sqrt m)^2, where it is to 1e-4.
    """
    middle = (1 + momentum - x) / 2
    if momentum == 0:
        return np.power(1 - x, steps)
    half = np.sqrt(np.asarray(middle**2 - momentum, complex))
    half = np.where(np.abs(half) < 1e-9, 1e-9, half)
    one, other = middle + half, middle - half
    # p_t = A one^t + B other^t with A + B = 1 and A one + B other = 1 - x.
    A = (1 - x - other) / (one - other)
    return (A * one**steps + (1 - A) * other**steps).real


def _share(l: np.ndarray, decay: float) -> np.ndarray:
    """Return l / (l + decay), 1 without decay where there is a mode."""
    return np.where(l > 0, l / np.where(l > 0, l + decay, 1), 0.0)
