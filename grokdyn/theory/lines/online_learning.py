"""Learning from examples that are seen once: a linear student, and the soft committee machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from grokdyn.losses.mse import MSE
from grokdyn.models.mlp import MLP
from grokdyn.models.soft_committee import SoftCommittee
from grokdyn.tasks.linear_teacher import LinearTeacher
from grokdyn.tasks.streams import split_keys
from grokdyn.tasks.teacher_student import TeacherStudent
from grokdyn.theory.lines.base import (
    Failure,
    Line,
    deviation,
    not_fresh,
    not_plain_descent,
    other_than,
    unequal,
    weight_of_parameter,
)
from grokdyn.theory.lines.rows import first_weights
from grokdyn.theory.online import linear_error
from grokdyn.theory.soft_committee import dynamics


class OnlineRegression(Line):
    """``theory.online``: a linear student's error on new examples, exact at every dimension, mean over all draws."""

    name = "online linear regression"
    source = "recursion of the mean squared distance to the teacher"

    def failures(self, experiment: Any) -> Iterator[Failure]:
        task, model = experiment.task, experiment.model
        yield from other_than("task", task, LinearTeacher, "linear_teacher")
        yield from other_than("model", model, MLP, "mlp")
        if isinstance(model, MLP):
            yield from unequal("model", model, hidden=(), bias=False, centred=False)
        yield from other_than("loss", experiment.loss, MSE, "mse")
        yield from not_plain_descent(experiment, batches=True)
        yield from not_fresh(experiment)
        if isinstance(experiment.loss, MSE) and experiment.batch_size != 1:
            yield from unequal("loss", experiment.loss, reduction="mean")

    def curves(self, experiment: Any, steps: np.ndarray) -> dict[str, np.ndarray]:
        task, model, D = experiment.task, experiment.model, experiment.task.dimension
        factor = weight_of_parameter(model, D)
        rate = 2 * experiment.optimizer.learning_rate * factor**2 / (model.output_scale**2 if model.rescaled else 1)
        first = D * (task.teacher_std**2 + (factor * model.init_scale * deviation(model.init, D)) ** 2)
        error = linear_error(steps, first, rate, D, 1 / D, experiment.batch_size, task.noise_std)
        return {"train_loss": error, "test_loss": error}


class OnlineCommittee(Line):
    """``theory.soft_committee``: a run's order parameters for many dimensions, from the overlaps it begins with."""

    name = "online learning of a soft committee machine"
    source = "Saad & Solla 1995, Biehl & Schwarze 1995"
    of_streams = ("split", "init")

    def failures(self, experiment: Any) -> Iterator[Failure]:
        task, model = experiment.task, experiment.model
        yield from other_than("task", task, TeacherStudent, "teacher_student")
        if isinstance(task, TeacherStudent):
            yield from other_than("task.teacher", task.teacher, SoftCommittee, "soft_committee")
            yield from unequal("task.teacher", task.teacher, output_scale=1.0)
            yield from unequal("task", task, noise_std=None)
        yield from other_than("model", model, SoftCommittee, "soft_committee")
        yield from unequal("model", model, output_scale=1.0, centred=False, linearised=False)
        yield from other_than("loss", experiment.loss, MSE, "mse")
        yield from not_plain_descent(experiment, batches=True)
        yield from not_fresh(experiment)
        yield from unequal("", experiment, batch_size=1)

    def curves(self, experiment: Any, steps: np.ndarray) -> dict[str, np.ndarray]:
        task, K = experiment.task, experiment.model.width
        both = first_units(experiment) * task.input_std
        C, N = both.T @ both, task.dimension
        # The update 2 rate input_std^2 (teacher - student) g' x, x ~ N(0, I), of units in the scale of the inputs.
        eta = 2 * experiment.optimizer.learning_rate * task.input_std**2 * N
        order = np.argsort(steps, kind="stable")
        told = np.empty(len(steps))
        told[order] = dynamics(steps[order] / N, C[:K, :K], C[:K, K:], C[K:, K:], eta).error
        return {"generalisation_error": told, "train_loss": 2 * told, "test_loss": 2 * told}


def first_units(experiment: Any) -> np.ndarray:
    """Return the units of student and teacher at step 0 [N, K + M], as a run of this seed draws them."""
    with jax.enable_x64(True):
        teacher = np.asarray(experiment.task.rule(split_keys(experiment)[1])["W"])
    return np.concatenate([first_weights(experiment), teacher], axis=1)
