"""The committee machine of Kumar et al. (2024) under gradient descent on the error over all inputs, by two moments.

The error is E (f - y)^2 over x ~ N(0, I/D), with f = alpha (wbar . x + (epsilon/2) x^T M x), less f_0 where that is
subtracted, and y = l . x + x^T B x / 2 + c. With a = alpha wbar - l, A = alpha epsilon M - B and

    G = A / D^2 + (tr A / (2 D) - c) I / D,   p = 2 alpha a / (N D),   Q = 2 alpha epsilon G / N

the gradient in unit i is p + Q w_i, the same map for all units. So an update takes wbar to S wbar - eta p and M to
S M S - eta (p wbar^T S + S wbar p^T) + eta^2 p p^T, S = I - eta Q: closed, and exact at every D, N and eta.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

Array = np.ndarray


class Target(NamedTuple):
    """y = l . x + x^T B x / 2 + c.

    Attributes:
        linear: l [D]; quadratic: B, symmetric [D, D]; constant: c.
    """

    linear: Array
    quadratic: Array
    constant: float = 0.0


class Moments(NamedTuple):
    """wbar = mean_i w_i [D] and M = (1/N) sum_i w_i w_i^T [D, D]."""

    mean: Array
    second: Array

    @classmethod
    def of(cls, W: Array) -> Moments:
        """Return those of units W [D, N]."""
        return cls(W.mean(axis=1), W @ W.T / W.shape[1])


class Rates(NamedTuple):
    """What scales the function and its updates.

    Attributes:
        step: eta, of the gradient of the mean squared error; epsilon; alpha; units: N.
        rescaled: divide eta by alpha^2; centred: subtract the function of step 0.
    """

    step: float
    epsilon: float
    alpha: float
    units: int
    rescaled: bool = False
    centred: bool = False


def errors(first: Moments, target: Target, rates: Rates, steps: Array) -> Array:
    """Return the mean squared error over all inputs after numbers of updates, in any order.

    Raises:
        ValueError: for a number of updates below 0.
    """
    steps = np.asarray(steps)
    if steps.size and steps.min() < 0:
        raise ValueError(f"steps: got {steps.min()}; allowed: numbers of updates from 0 on")
    known = dict(zip(np.unique(steps).tolist(), descent(first, target, rates, np.unique(steps)), strict=True))
    return np.asarray([known[step] for step in steps.tolist()])


def descent(first: Moments, target: Target, rates: Rates, steps: Array) -> Iterator[float]:
    """Yield the error after each of the numbers of updates, which rise."""
    offset = Moments(*map(np.zeros_like, first)) if not rates.centred else first
    (mean, second), done = first, 0
    for step in steps:
        for _ in range(done, int(step)):
            mean, second = updated(mean, second, *gradient(mean, second, offset, target, rates), rates)
        done = int(step)
        yield error(*residual(mean, second, offset, target, rates), target.constant)


def residual(mean: Array, second: Array, offset: Moments, target: Target, rates: Rates) -> tuple[Array, Array]:
    """Return a [D] and A [D, D]."""
    a = rates.alpha * (mean - offset.mean) - target.linear
    return a, rates.alpha * rates.epsilon * (second - offset.second) - target.quadratic


def error(a: Array, A: Array, constant: float) -> float:
    """Return E (a . x + x^T A x / 2 - c)^2, see ``committee.error_terms``."""
    D = len(a)
    return float((np.trace(A) / (2 * D) - constant) ** 2 + np.sum(A**2) / (2 * D**2) + a @ a / D)


def gradient(mean: Array, second: Array, offset: Moments, target: Target, rates: Rates) -> tuple[Array, Array]:
    """Return p [D] and Q [D, D] of the gradient p + Q w_i in unit i."""
    a, A = residual(mean, second, offset, target, rates)
    D = len(a)
    G = A / D**2 + (np.trace(A) / (2 * D) - target.constant) / D * np.eye(D)
    factor = 2 * rates.alpha / rates.units
    return factor * a / D, factor * rates.epsilon * G


def updated(mean: Array, second: Array, p: Array, Q: Array, rates: Rates) -> tuple[Array, Array]:
    """Return the moments after an update."""
    eta = rates.step / (rates.alpha**2 if rates.rescaled else 1)
    S = np.eye(len(p)) - eta * Q
    moved = S @ mean
    along = np.outer(p, moved)
    return moved - eta * p, S @ second @ S - eta * (along + along.T) + eta**2 * np.outer(p, p)
