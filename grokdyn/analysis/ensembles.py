"""What runs tell together: the mean of their logits, beside what they tell one by one."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import checks
from .alarms import auroc


class Ensemble(NamedTuple):
    """Accuracy and area under the curve of an ensemble, and those of its members [runs]."""

    accuracy: float
    auc: float
    accuracies: np.ndarray
    aucs: np.ndarray


def ensemble(logits: Any, labels: Any) -> Ensemble:
    """Return how well the mean logits of runs tell two classes, and how well each run does.

    A row is of class 1 where the mean over runs of z_1 - z_0 is above 0 (Lakshminarayanan et al. 2017, with logits in
    place of probabilities). The area is the chance that it is larger for a row of class 1 than for one of class 0.

    Args:
        logits: z_1 - z_0 of runs on the same rows [runs, rows], as ``RandomisedFeatures(per_row=True)`` records them.
        labels: 0 or 1 [rows].

    Returns both numbers of the ensemble and of every run; areas are nan without rows of both classes.

    Raises ArgumentError (a ValueError) for shapes that do not fit, labels that are not 0 or 1, or a logit that is nan.
    """
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels)
    if logits.ndim != 2 or not logits.size:
        raise checks.ArgumentError(f"logits: got shape {logits.shape}; expected [runs, rows], neither 0.")
    if labels.shape != logits.shape[1:]:
        raise checks.ArgumentError(f"labels: got shape {labels.shape}; expected {logits.shape[1:]}, one a row.")
    if not np.all((labels == 0) | (labels == 1)):
        raise checks.ArgumentError("labels: expected 0 or 1.")
    if np.isnan(logits).any():
        raise checks.ArgumentError("logits: got nan; expected numbers, so leave out runs that diverged.")
    together, ones = logits.mean(axis=0), labels == 1
    accuracies = np.mean((logits > 0) == ones, axis=1)
    aucs = np.asarray([auroc(one, ones).value for one in logits])
    return Ensemble(float(np.mean((together > 0) == ones)), auroc(together, ones).value, accuracies, aucs)
