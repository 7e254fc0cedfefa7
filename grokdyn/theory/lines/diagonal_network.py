"""Diagonal linear networks with weight decay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from grokdyn.losses.cross_entropy import CrossEntropy
from grokdyn.losses.mse import MSE
from grokdyn.models.diagonal import Diagonal
from grokdyn.theory.diagonal import flow, softmax, squares
from grokdyn.theory.lines.base import Failure, Line, not_plain_descent, other_than, train_points, unequal
from grokdyn.theory.lines.rows import metrics, rows_of

# Train rows times outputs: a stiff solver takes a minute beyond.
MOST = 600


class DiagonalNetwork(Line):
    """``theory.diagonal``: the flow on a run's own rows; descent is off by what its rate is to the curvature."""

    name = "diagonal linear networks"
    source = "Woodworth et al. 2020, Lyu et al. 2024"
    of_streams = ("split",)

    def failures(self, experiment: Any) -> Iterator[Failure]:
        model, loss = experiment.model, experiment.loss
        yield from other_than("model", model, Diagonal, "diagonal")
        yield from unequal("model", model, output_scale=1.0, linearised=False)
        if not isinstance(loss, CrossEntropy | MSE):
            yield from other_than("loss", loss, CrossEntropy, "cross_entropy or mse")
        if isinstance(loss, CrossEntropy):
            yield from unequal("loss", loss, label_smoothing=None, temperature=None)
        yield from not_plain_descent(experiment, decay=True)
        size = train_points(experiment.task) * experiment.task.signature().outputs
        if size > MOST:
            yield "task.train_points", f"{size} train rows times outputs", f"at most {MOST}"

    def curves(self, experiment: Any, steps: np.ndarray) -> dict[str, np.ndarray]:
        rows, optimizer, loss = rows_of(experiment), experiment.optimizer, experiment.loss
        train = rows.parts["train"]
        x, y, classes = rows.x[train], rows.y[train], isinstance(loss, CrossEntropy)
        slope = softmax(y) if classes else squares(y, y.size if loss.reduction == "mean" else 1)
        order = np.argsort(steps, kind="stable")
        times = optimizer.learning_rate * steps[order]
        found = flow(x, slope, times, experiment.model.init_scale, optimizer.weight_decay).w
        f = np.empty((len(steps), *rows.y.shape))
        f[order] = rows.x @ found
        return metrics(f, rows, loss)
