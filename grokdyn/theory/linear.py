"""Exact learning curves of linear regression by gradient descent (Advani & Saxe 2017).

y = w . x + e with x ~ N(0, I/N), w ~ N(0, s_w^2 I), e ~ N(0, s_e^2), P train points, a = P/N; the student is linear
and starts at N(0, s_0^2 I). In the limit of large N at fixed a, the eigenvalues l of X X^T have the density of
Marchenko and Pastur, and every mode learns by itself.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq

from grokdyn.theory.filters import descent, flow

# Points of the quadrature over the spectrum: exact to 1e-9 up to times of 1e4.
POINTS = 4096


class LearningCurves(NamedTuple):
    """Mean squared errors over time; the test error contains the noise of a fresh target."""

    train: np.ndarray
    test: np.ndarray


def learning_curves(
    times: np.ndarray,
    ratio: float,
    teacher_std: float = 1.0,
    noise_std: float = 0.0,
    init_std: float = 0.0,
    rate: float | None = None,
    momentum: float = 0.0,
    decay: float = 0.0,
) -> LearningCurves:
    """Return train and test error of gradient flow on half the sum of squared errors, dw/dt = sum_i r_i x_i.

    E_test(t) = s_e^2 + int rho(l) [(s_w^2 + s_0^2) d^2 + (s_e^2/l) (1 - d)^2] dl + max(0, 1 - a) (s_w^2 + s_0^2)
    E_train(t) = (1/a) int rho(l) [(s_w^2 + s_0^2) l + s_e^2] d^2 dl + max(0, 1 - 1/a) s_e^2,  d = exp(-l t).
    With weight decay what is left of the start, d, and 1 - h, h the share of the best fit, differ (``theory.filters``).

    Args:
        times: t; for gradient descent t = (learning rate of half the sum of squares) * steps, which is twice the rate
            given to ``MSE(reduction="sum")`` times the steps.
        ratio: a = P/N.
        rate: step size in t; then d = (1 - rate l)^(t / rate), gradient descent instead of its flow.
        momentum: of descent; decay: weight decay, in units of l.

    Returns:
        Arrays like ``times``.

    Raises:
        ValueError: if the ratio is not above 0, or there is momentum without a rate.
    """
    if not ratio > 0:
        raise ValueError(f"ratio: got {ratio!r}; allowed: a number above 0")
    if momentum and rate is None:
        raise ValueError(f"momentum: got {momentum!r}; allowed: 0 for the flow; give a rate")
    t = np.asarray(times, np.float64)[..., None]
    teacher, start, noise = teacher_std**2, init_std**2, noise_std**2
    l, weight = marchenko_pastur(ratio)
    d, null = (modes_left(x, t, rate, momentum, decay) for x in (l, np.zeros(1)))
    h = l / (l + decay) * (1 - d)
    missed = teacher * (1 - h) ** 2 + start * d**2
    test = noise + np.sum(weight * (missed + noise / l * h**2), axis=-1)
    test += max(0, 1 - ratio) * (teacher + start * null[..., 0] ** 2)
    train = np.sum(weight * (missed * l + noise * (1 - h) ** 2), axis=-1) / ratio + max(0, 1 - 1 / ratio) * noise
    return LearningCurves(train, test)


class Stopping(NamedTuple):
    """When the flow's test error is least, that error, and the one in the end: t to infinity."""

    time: float
    error: float
    last: float


def best_stopping(ratio: float, teacher_std: float = 1.0, noise_std: float = 1.0, init_std: float = 0.0) -> Stopping:
    """Return the time at which gradient flow from N(0, init_std^2) is best stopped, in the time of ``learning_curves``.

    The derivative of its test error is 2 int rho(l) d [s_e^2 (1 - d) - (s_w^2 + s_0^2) l d] dl, d = exp(-l t): below 0
    at first and above in the end, as slow modes fit noise last. For t to infinity
    E = s_e^2 (1 + min(1, a) / |1 - a|) + max(0, 1 - a) (s_w^2 + s_0^2), infinite at a = 1.

    Args:
        ratio: a = P/N; the others as those of ``learning_curves``.

    Raises:
        ValueError: if the ratio is not above 0, or there is no noise: then it is never too late.
    """
    if not ratio > 0:
        raise ValueError(f"ratio: got {ratio!r}; allowed: a number above 0")
    if not noise_std > 0:
        raise ValueError(f"noise_std: got {noise_std!r}; allowed: a number above 0; without noise it is never too late")
    noise, missed = noise_std**2, teacher_std**2 + init_std**2
    l, weight = marchenko_pastur(ratio)

    def slope(log_time: float) -> float:
        x = l * np.exp(log_time)
        return float(np.sum(weight * np.exp(-x) * (-noise * np.expm1(-x) - missed * l * np.exp(-x))))

    low = high = -np.log(l.max())
    while missed and slope(low) > 0:
        low -= 1
    while slope(high) < 0:
        high += 1
    root: Any = brentq(slope, low, high, xtol=1e-12) if missed else -np.inf
    time = float(np.exp(root))
    error = float(learning_curves(np.array([time]), ratio, teacher_std, noise_std, init_std).test[0])
    share = min(1, ratio) / abs(1 - ratio) if ratio != 1 else np.inf
    return Stopping(time, error, noise * (1 + share) + max(0, 1 - ratio) * missed)


def modes_left(l: np.ndarray, t: np.ndarray, rate: float | None, momentum: float, decay: float) -> np.ndarray:
    """Return what is left of the start of a mode of eigenvalue l, of flow or descent; see ``theory.filters``."""
    if rate is None:
        return flow(l, t, decay).left
    if momentum:
        return descent(l, np.rint(t / rate), rate, momentum, decay).left
    return powers(1 - rate * (l + decay), t / rate)


def powers(x: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Return x^steps; where steps are whole but for the rounding of t / rate, also of negative x, which is else nan."""
    whole = np.round(steps)
    steps = np.where(np.abs(steps - whole) <= 1e-9 * np.maximum(1, whole), whole, steps)
    with np.errstate(invalid="ignore"):
        return np.power(x, steps)


def marchenko_pastur(ratio: float, points: int = POINTS) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvalues and weights [points] of the density sqrt((l_+ - l)(l - l_-)) / (2 pi l), of mass min(1, a).

    l_+- = (sqrt(a) +- 1)^2. Midpoints in the angle of l = 1 + a + 2 sqrt(a) cos(angle), where the integrand is smooth.
    """
    angle = (np.arange(points) + 0.5) * np.pi / points
    radius = 2 * np.sqrt(ratio)
    l = 1 + ratio + radius * np.cos(angle)
    return l, (radius * np.sin(angle)) ** 2 / (2 * np.pi * l) * (np.pi / points)
