"""How fast stochastic gradient descent opens the gap between test and train loss (Roberts 2021, arXiv 2104.04874).

At parameters that do not depend on which N rows train, an update w - rate g_B on B of these rows changes
L_test - L_train by rate (g_B . g_train - g_B . g_test) to first order. With C the covariance of single rows' gradients,
E[g_B . g_train] = |g|^2 + Tr C / N and E[g_B . g_test] = |g|^2, whatever B: only a row that is in g_B and in g_train is
like itself by chance. Hence E[change] = rate Tr C / N. Trained parameters do depend on the rows, so that this is exact
at the first update only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.integrate import cumulative_trapezoid


def expected_change(gradients: Any, train_rows: int, learning_rate: float) -> float:
    """Return the mean first-order change of L_test - L_train by one update, exact for a table of finitely many rows.

    The mean is over all ways to take ``train_rows`` of the M rows, all others testing, and over any batches of these
    in which every train row is as often as another. For g_T and g_R, the mean gradients over train rows and the rest,
    g_T - g_R = M / (M - N) (g_T - g) and E|g_T - g|^2 = Tr C / N (1 - N / M), so that the finite number of rows
    cancels: rate Tr C / N with C = sum_i (g_i - g)(g_i - g)^T / (M - 1).

    Args:
        gradients: of the loss of every row of the table [M, parameters].
        train_rows: N, below M.
        learning_rate: rate of plain descent.

    Returns the change. Raises ValueError for numbers of rows that do not fit.
    """
    gradients = np.asarray(gradients, np.float64)
    if gradients.ndim != 2 or not 0 < train_rows < len(gradients):
        came = f"gradients of shape {gradients.shape}, {train_rows} train rows"
        raise ValueError(f"{came}; expected gradients [rows, parameters] of more rows than train")
    off = gradients - gradients.mean(axis=0)
    return float(learning_rate * np.sum(off**2) / (len(gradients) - 1) / train_rows)


def gap(steps: Any, trace: Any, learning_rate: Any, train_rows: Any) -> np.ndarray:
    """Return sum over updates of rate Tr C / N, the gap that is expected to have opened by each record.

    Tr C is linear between records (trapezoids).

    Args:
        steps: of the records [records], rising.
        trace: Tr C at each of them [..., records].
        learning_rate: rate; train_rows: N; numbers, or arrays [...] beside those of ``trace``.

    Returns gaps [..., records], 0 at the first record. Raises ValueError from numpy for shapes that do not fit.
    """
    opened = cumulative_trapezoid(np.asarray(trace, np.float64), np.asarray(steps, np.float64), axis=-1, initial=0)
    return opened * (np.asarray(learning_rate, np.float64) / np.asarray(train_rows, np.float64))[..., None]
