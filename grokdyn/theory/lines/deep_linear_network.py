"""Linear networks of two layers from small weights, on white inputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from grokdyn.losses.mse import MSE
from grokdyn.models.mlp import MLP
from grokdyn.theory.deep_linear import mean_modes
from grokdyn.theory.lines.base import Failure, Line, not_plain_descent, other_than, train_points, unequal
from grokdyn.theory.lines.rows import rows_of

# Singular values of inputs or targets below this part of the largest are rounding of 0.
ZERO = 1e-5
MOST_ROWS = 2000


class DeepLinearNetwork(Line):
    """``theory.deep_linear``: the mean train loss of descent from small weights."""

    name = "deep linear networks"
    source = "Saxe et al. 2014"
    of_streams = ("split",)

    def failures(self, experiment: Any) -> Iterator[Failure]:
        model, first = experiment.model, True
        for failure in self.of_parts(experiment, model):
            first = False
            yield failure
        if first:
            yield from self.of_rows(experiment)

    def of_parts(self, experiment: Any, model: Any) -> Iterator[Failure]:
        """Yield what is told by the description alone."""
        yield from other_than("model", model, MLP, "mlp")
        if isinstance(model, MLP):
            yield from unequal("model", model, activation="identity", bias=False, init="normal", norm="none")
            yield from unequal("model", model, residual=False, dropout=0.0, output_scale=1.0, centred=False)
            yield from unequal("model", model, linearised=False)
            if len(model.hidden) != 1:
                yield "model.hidden", model.hidden, "one hidden layer"
        yield from other_than("loss", experiment.loss, MSE, "mse")
        yield from not_plain_descent(experiment)
        if train_points(experiment.task) > MOST_ROWS:
            yield "task.train_points", train_points(experiment.task), f"at most {MOST_ROWS} train rows"

    def of_rows(self, experiment: Any) -> Iterator[Failure]:
        """Yield what is told by the train rows."""
        sizes, values, _ = modes_of(experiment)
        if sizes[0] > (1 + 1e-3) * sizes[-1]:
            yield "task", f"inputs of variances {sizes[-1]:.3g} to {sizes[0]:.3g}", "white inputs: one variance"
        if len(values) > experiment.model.hidden[0]:
            yield "model.hidden", experiment.model.hidden, f"at least {len(values)}, the modes of the targets"

    def curves(self, experiment: Any, steps: np.ndarray) -> dict[str, np.ndarray]:
        sizes, values, floor = modes_of(experiment)
        n, outputs = train_points(experiment.task), experiment.task.signature().outputs
        mean = experiment.loss.reduction == "mean"
        rate = 2 * experiment.optimizer.learning_rate * sizes[0] / (n * outputs if mean else 1)
        _, errors = mean_modes(rate * steps, values, experiment.model.init_scale, experiment.model.hidden[0], rate)
        total = sizes[0] * errors.sum(-1) + floor
        return {"train_loss": total / (n * outputs if mean else n)}


def modes_of(experiment: Any) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the eigenvalues of the inputs' second moments that are not 0, the singular values of the map that fits
    best, both in falling order, and the sum of squares that it leaves."""
    rows = rows_of(experiment)
    x, y = rows.x[rows.parts["train"]], rows.y[rows.parts["train"]]
    U, sizes, Vt = np.linalg.svd(x, full_matrices=False)
    there = sizes > ZERO * sizes[0]
    fitted = U[:, there].T @ y
    values = np.linalg.svd((fitted.T / sizes[there]) @ Vt[there], compute_uv=False)
    values = values[values > ZERO * values[0]]
    return sizes[there] ** 2, values, float(np.sum(np.square(y)) - np.sum(np.square(fitted)))
