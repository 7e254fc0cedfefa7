"""What the training gradient is of, where that is not the recorded train loss."""

from __future__ import annotations

from typing import Any

import numpy as np

from grokdyn.probes.base import Shapes, Variable

# A number of train rows by which a mean and a sum are told apart.
ROWS = 7


def objective(experiment: Any) -> str:
    """Return in words, with a space before, what the training gradient is of; nothing where it is the train loss.

    ``train_loss`` is a mean over rows in any case. The gradient of ``MSE(reduction="sum")`` is that of the sum over
    train rows, and a model that is ``rescaled`` divides it by output_scale^2.
    """
    steps = (np.int32(0), np.int32(np.iinfo(np.int32).max))
    shares = {float(experiment.loss.in_force(step).divisor(np.int32(ROWS))) / ROWS for step in steps}
    scaled = "over output_scale^2" if experiment.model.rescaled else ""
    if shares == {1.0}:
        words = ("loss", scaled) if scaled else ()
    elif shares == {1 / ROWS}:
        words = ("loss times train rows", scaled)
    else:
        words = ("loss as trained", scaled)
    return f" ({' '.join(word for word in words if word)})" if words else ""


def of_objective(shapes: Shapes, found: dict[str, Variable]) -> dict[str, Variable]:
    """Return variables that are of the training gradient, with what that is of in their names."""
    words = objective(shapes.experiment)
    return {name: v._replace(long_name=v.long_name + words) for name, v in found.items()}
