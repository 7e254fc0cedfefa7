"""Exact forgetting of linear regression on one task after the other (Lin et al. 2023, arXiv 2302.05836).

Task t = 1..T has n rows x ~ N(0, I_p), p > n + 1, and targets x . w*_t + N(0, s^2). Training starts at w_{t-1}, w_0 = 0
and ends at the interpolator nearest to it, where gradient descent goes: w_t = w_{t-1} + X^+ (y - X w_{t-1}). With
r = 1 - n / p,

    E|w_t - w*_i|^2 = r^t |w*_i|^2 + (1 - r) sum_{k <= t} r^(t - k) |w*_k - w*_i|^2 + (1 - r^t) p s^2 / (p - n - 1),

since a task keeps the part r of what was known, in directions that its rows leave alone, and puts its own in place of
the rest. Exact at every p and n.

On the way there, after j steps of descent on task k, the map H = 1 - (1 - e X^T X)^j takes the place of the projection,
w - w*_i = (1 - H)(w_{k-1} - w*_i) + H (w*_k - w*_i) + noise. The eigenvectors of X^T X have no preferred direction, so

    E|w - w*_i|^2 = (1 - a) E_i + a |w*_k - w*_i|^2 - b E_k + v s^2,    E_i = E|w_{k-1} - w*_i|^2,
    a = E tr H / p,    b = E tr H (1 - H) / p,    v = E tr H^2 (X^T X)^+,

also exact at every p and n; a = n / p, b = 0 and v = n / (p - n - 1) in the end. Means over the n eigenvalues are over
draws of them (``eigenvalues``).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Continual(NamedTuple):
    """Errors E|w_t - w*_i|^2 [t = 0..T, i = 1..T], and what follows from them after the last task.

    ``forgetting``: mean over i < T of the error on task i now less that just after task i; nan for one task.
    ``generalisation``: mean over all tasks of the error now.
    """

    errors: np.ndarray
    forgetting: float
    generalisation: float


def forgetting(teachers: np.ndarray, rows: int, noise_std: float = 0.0, start: float = 0.0) -> Continual:
    """Return the exact means over rows and noise.

    Args:
        teachers: w*_t in the order of the tasks [T, p]; the same twice is a task that comes back.
        rows: n, of every task.
        noise_std: s.
        start: E|w_0|^2, of a start that no teacher knows of.

    Raises:
        ValueError: unless p > n + 1 and n >= 1.
    """
    W = np.atleast_2d(np.asarray(teachers, np.float64))
    T, p = W.shape
    if not 1 <= rows < p - 1:
        raise ValueError(f"rows: got {rows!r}; allowed: from 1 to {p - 2}, below the {p} weights by more than one")
    r = 1 - rows / p
    apart = np.square(W[:, None] - W[None]).sum(-1)
    noise = p * noise_std**2 / (p - rows - 1)
    errors = np.empty((T + 1, T))
    errors[0] = np.square(W).sum(-1) + start
    for t in range(T):
        # The formula, one task at a time: its sums are geometric.
        errors[t + 1] = r * errors[t] + (1 - r) * (apart[t] + noise)
    then = np.diag(errors[1:])[:-1]
    lost = float(np.mean(errors[T, :-1] - then)) if T > 1 else float("nan")
    return Continual(errors, lost, float(errors[T].mean()))


class Descent(NamedTuple):
    """How a task is learned.

    Attributes:
        rate: e, the step along X^T (y - X w); ``MSE`` at a learning rate of l has 2 l / n.
        every: steps of each task.
    """

    rate: float
    every: int


def course(
    teachers: np.ndarray,
    rows: int,
    steps: np.ndarray,
    descent: Descent,
    noise_std: float = 0.0,
    start: float = 0.0,
    draws: int | None = None,
) -> np.ndarray:
    """Return the means E|w - w*_i|^2 [steps, T] after numbers of steps of descent, in any order.

    Args:
        teachers, rows, noise_std, start: as in ``forgetting``; rows may be any number.
        steps: in all; beyond the last task's they go on with it.
        descent: rate and steps of a task.
        draws: of the eigenvalues; none: as many as make a million of them, at least 64.

    Raises:
        ValueError: for steps below 0.
    """
    W, steps = np.atleast_2d(np.asarray(teachers, np.float64)), np.asarray(steps, np.int64)
    if steps.size and steps.min() < 0:
        raise ValueError(f"steps: got {steps.min()}; allowed: from 0 on")
    T, p = W.shape
    least = min(rows, p)
    l = eigenvalues(rows, p, max(64, 10**6 // least**2) if draws is None else draws)
    apart, found = np.square(W[:, None] - W[None]).sum(-1), np.empty((len(steps), T))
    errors = np.square(W).sum(-1) + start
    place = np.minimum(np.maximum(steps - 1, 0) // descent.every, T - 1)
    for k in range(T):
        mine = np.flatnonzero(place == k)
        inside = np.append(steps[mine] - k * descent.every, descent.every)
        a, b, v = (one[:, None] for one in shares(l, p, inside, descent.rate))
        after = (1 - a) * errors + a * apart[k] - b * errors[k] + v * noise_std**2
        found[mine], errors = after[:-1], after[-1]
    return found


def shares(l: np.ndarray, p: int, steps: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a, b and v after steps on one task, of eigenvalues [draws, n] of p x p matrices. Raises nothing."""
    at, where = np.unique(steps, return_inverse=True)
    found = np.empty((3, len(at)))
    for place, step in enumerate(at):
        h = 1 - (1 - rate * l) ** step
        found[:, place] = [np.mean(h.sum(1)) / p, np.mean((h * (1 - h)).sum(1)) / p, np.mean((h**2 / l).sum(1))]
    return tuple(found[:, where])


def eigenvalues(rows: int, dimension: int, draws: int, seed: int = 0) -> np.ndarray:
    """Draw the eigenvalues above 0 of X^T X, X ~ N(0, 1) [rows, dimension]: [draws, least of both].

    X is, between rotations, bidiagonal with entries sqrt(chi^2): of p, p - 1, ... degrees of freedom along the diagonal
    and of n - 1, n - 2, ... below it, n <= p (Golub & Kahan; Dumitriu & Edelman 2002).

    Raises:
        ValueError: for a number below 1.
    """
    if min(rows, dimension, draws) < 1:
        raise ValueError(f"rows, dimension, draws: got {rows}, {dimension}, {draws}; allowed: from 1 on")
    n, p, rng = min(rows, dimension), max(rows, dimension), np.random.default_rng(seed)
    B = np.zeros((draws, n, n))
    on = np.arange(n)
    B[:, on, on] = np.sqrt(rng.chisquare(p - on, (draws, n)))
    B[:, on[1:], on[:-1]] = np.sqrt(rng.chisquare(n - on[1:], (draws, n - 1)))
    return np.linalg.svd(B, compute_uv=False) ** 2
