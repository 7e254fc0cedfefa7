"""Random features whose readout decays, once it has come to rest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.losses.mse import MSE
from grokdyn.models.random_features import RandomFeatures
from grokdyn.optim.sgd import SGD
from grokdyn.tasks.linear_teacher import LinearTeacher
from grokdyn.theory.infinite_width import CLOSED
from grokdyn.theory.lines.base import Failure, Line, not_plain_descent, other_than, train_points, unequal
from grokdyn.theory.ridge import Moments, features, of_moments

# What is left of the start by then, exp(-REST); one eigendecomposition of so many features takes ten seconds.
REST, MOST = 7.0, 3000


class RidgeFeatures(Line):
    """``theory.ridge``: errors in the end, of the very features of a run, for many rows and features; nan before."""

    name = "random features with a ridge readout"
    source = "Loureiro et al. 2021"

    def failures(self, experiment: Any) -> Iterator[Failure]:
        task, model, optimizer = experiment.task, experiment.model, experiment.optimizer
        yield from other_than("model", model, RandomFeatures, "random_features")
        yield from other_than("task", task, LinearTeacher, "linear_teacher")
        yield from other_than("loss", experiment.loss, MSE, "mse")
        yield from not_plain_descent(experiment, momentum=True, decay=True)
        if isinstance(model, RandomFeatures):
            if model.activation not in CLOSED:
                yield "model.activation", model.activation, f"{', '.join(CLOSED)}, which have closed forms"
            yield from unequal("model", model, shift=0.0)
            if model.width > MOST:
                yield "model.width", model.width, f"at most {MOST}"
        yield from unequal("task", task, label_noise=0.0)
        if isinstance(task, LinearTeacher):
            yield from unequal("task", task, fresh=False)
        if isinstance(optimizer, SGD):
            if not optimizer.weight_decay > 0:
                yield "optimizer.weight_decay", optimizer.weight_decay, "above 0"
            elif experiment.steps < at_rest(optimizer):
                yield (
                    "steps",
                    experiment.steps,
                    f"at least {int(np.ceil(at_rest(optimizer)))}, when the readout is at rest",
                )

    def curves(self, experiment: Any, steps: np.ndarray) -> dict[str, np.ndarray]:
        task, model, n = experiment.task, experiment.model, train_points(experiment.task)
        with jax.enable_x64(True):
            weights = np.asarray(model.features(jnp.eye(task.dimension))[0]).T
        D, scale = task.dimension, model.output_scale
        seen = features(Moments(np.eye(D) / D, task.teacher_std * np.eye(D) / D), weights, model.activation)
        factor = scale**2 / model.width
        moments = Moments(factor * seen.among, factor**0.5 * seen.target)
        penalty = experiment.optimizer.weight_decay / 2 * (n if experiment.loss.reduction == "mean" else 1)
        penalty *= scale**2 if model.rescaled else 1
        found = of_moments(moments, n, penalty, task.teacher_std**2 + task.noise_std**2)
        late = np.where(steps >= at_rest(experiment.optimizer), 1.0, np.nan)
        return {"train_loss": late * found.train, "test_loss": late * found.test}


def at_rest(optimizer: SGD) -> float:
    """Return the number of updates after which what does not fit the rows is forgotten."""
    return REST * (1 - optimizer.momentum) / (optimizer.learning_rate * optimizer.weight_decay)
