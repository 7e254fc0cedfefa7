"""Exact forgetting of linear regression on one task after the other (Lin et al. 2023, arXiv 2302.05836).

Task t = 1..T has n rows x ~ N(0, I_p), p > n + 1, and targets x . w*_t + N(0, s^2). Training starts at w_{t-1}, w_0 = 0
and ends at the interpolator nearest to it, where gradient descent goes: w_t = w_{t-1} + X^+ (y - X w_{t-1}). With
r = 1 - n / p,

    E|w_t - w*_i|^2 = r^t |w*_i|^2 + (1 - r) sum_{k <= t} r^(t - k) |w*_k - w*_i|^2 + (1 - r^t) p s^2 / (p - n - 1),

since a task keeps the part r of what was known, in directions that its rows leave alone, and puts its own in place of
the rest. Exact at every p and n.
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


def forgetting(teachers: np.ndarray, rows: int, noise_std: float = 0.0) -> Continual:
    """Return the exact means over rows and noise.

    Args:
        teachers: w*_t in the order of the tasks [T, p]; the same twice is a task that comes back.
        rows: n, of every task.
        noise_std: s.

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
    errors[0] = np.square(W).sum(-1)
    for t in range(T):
        # The formula, one task at a time: its sums are geometric.
        errors[t + 1] = r * errors[t] + (1 - r) * (apart[t] + noise)
    then = np.diag(errors[1:])[:-1]
    lost = float(np.mean(errors[T, :-1] - then)) if T > 1 else float("nan")
    return Continual(errors, lost, float(errors[T].mean()))
