"""A linear student of a noisy linear teacher."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from grokdyn.losses.mse import MSE
from grokdyn.models.mlp import MLP
from grokdyn.tasks.linear_teacher import LinearTeacher
from grokdyn.theory.linear import learning_curves
from grokdyn.theory.lines.base import (
    Failure,
    Line,
    deviation,
    not_plain_descent,
    other_than,
    train_points,
    unequal,
    weight_of_parameter,
)


class LinearStudent(Line):
    """``theory.linear``: errors at all steps for many dimensions, at their ratio to the train points."""

    name = "linear regression"
    source = "Advani & Saxe 2017"

    def failures(self, experiment: Any) -> Iterator[Failure]:
        task, model, loss = experiment.task, experiment.model, experiment.loss
        yield from other_than("task", task, LinearTeacher, "linear_teacher")
        yield from other_than("model", model, MLP, "mlp")
        if isinstance(model, MLP):
            yield from unequal("model", model, hidden=(), bias=False)
        yield from other_than("loss", loss, MSE, "mse")
        yield from not_plain_descent(experiment, momentum=True, decay=True)
        if model.centred and getattr(experiment.optimizer, "weight_decay", 0):
            yield "model.centred", True, "false under weight decay, which pulls f to 0 and not to that of step 0"
        yield from unequal("task", task, label_noise=0.0)

    def curves(self, experiment: Any, steps: np.ndarray) -> dict[str, np.ndarray]:
        task, model, D = experiment.task, experiment.model, experiment.task.dimension
        n = train_points(task)
        factor = weight_of_parameter(model, D)
        rate = 2 * experiment.optimizer.learning_rate * factor**2
        rate /= n if experiment.loss.reduction == "mean" else 1
        rate /= model.output_scale**2 if model.rescaled else 1
        init_std = 0.0 if model.centred else factor * model.init_scale * deviation(model.init, D)
        optimizer = experiment.optimizer
        more = {"momentum": optimizer.momentum, "decay": optimizer.learning_rate * optimizer.weight_decay / rate}
        spreads = {"teacher_std": task.teacher_std, "noise_std": task.noise_std, "init_std": init_std}
        found = learning_curves(rate * steps, n / D, rate=rate, **spreads, **more)
        return {"train_loss": found.train, "test_loss": found.test}
