"""A linear student of linear tasks, one after another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from grokdyn.losses.mse import MSE
from grokdyn.models.mlp import MLP
from grokdyn.spec.kinds import kind_of
from grokdyn.tasks.linear_tasks import LinearTasks
from grokdyn.tasks.parts import ORDINALS, UNSEEN
from grokdyn.theory.continual import Descent, course
from grokdyn.theory.lines.base import (
    Failure,
    Line,
    deviation,
    not_plain_descent,
    other_than,
    unequal,
    weight_of_parameter,
)
from grokdyn.transforms.choice import PartSequence

# Rows, or dimension, whichever is less: the eigenvalues of 64 draws take ten seconds beyond.
MOST = 400


class ContinualLinear(Line):
    """``theory.continual``: errors on every task at all steps, exact at any number of rows and weights."""

    name = "continual linear regression"
    source = "Lin et al. 2023"

    def failures(self, experiment: Any) -> Iterator[Failure]:
        task, model = experiment.task, experiment.model
        yield from other_than("task", task, LinearTasks, "linear_tasks")
        if isinstance(task, LinearTasks):
            yield from self.of_tasks(experiment, task)
        yield from other_than("model", model, MLP, "mlp")
        if isinstance(model, MLP):
            yield from unequal("model", model, hidden=(), bias=False, centred=False)
        yield from other_than("loss", experiment.loss, MSE, "mse")
        yield from not_plain_descent(experiment, transforms=True)

    def of_tasks(self, experiment: Any, task: LinearTasks) -> Iterator[Failure]:
        """Yield what is told by the task and the sequence of its parts."""
        kinds = tuple(experiment.transforms)
        if len(kinds) != 1 or not isinstance(kinds[0], PartSequence):
            yield "transforms", ", ".join(map(kind_of, kinds)) or "none", "part_sequence alone"
        else:
            yield from unequal("transforms[0]", kinds[0], replay=0.0)
            if sorted(kinds[0].parts) != sorted(task.names):
                yield "transforms[0].parts", list(kinds[0].parts), f"all of {', '.join(task.names)}, each once"
        if min(task.rows, task.dimension) > MOST:
            yield "task.rows", task.rows, f"at most {MOST}"
        yield from unequal("task", task, label_noise=0.0)

    def curves(self, experiment: Any, steps: np.ndarray) -> dict[str, np.ndarray]:
        task, model, D = experiment.task, experiment.model, experiment.task.dimension
        (sequence,) = experiment.transforms
        factor = weight_of_parameter(model, D)
        # A part's weights add up to 1, so that the loss is its mean by either reduction.
        rate = 2 * experiment.optimizer.learning_rate * factor**2 / task.rows
        rate /= model.output_scale**2 if model.rescaled else 1
        start = D * (factor * model.init_scale * deviation(model.init, D)) ** 2
        W = task_teachers(task)[[ORDINALS.index(name) for name in sequence.parts]]
        found = course(W, task.rows, steps, Descent(rate, sequence.every), task.noise_std, start)
        told = {f"{name}{UNSEEN}_loss": errors for name, errors in zip(sequence.parts, found.T, strict=True)}
        return told | {"test_loss": found.mean(-1)}


def task_teachers(task: LinearTasks) -> np.ndarray:
    """Return teachers that lie to each other as those of the tasks do [tasks, dimension]."""
    K, rho = task.teachers, float(task.similarity)
    values, vectors = np.linalg.eigh((1 - rho) * np.eye(K) + rho)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    found = np.zeros((len(task.order), task.dimension))
    found[:, :K] = root[np.asarray(task.order) - 1]
    return found
