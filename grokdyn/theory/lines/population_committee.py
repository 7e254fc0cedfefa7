"""A committee machine that learns a quadratic target from fresh batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from grokdyn.losses.mse import MSE
from grokdyn.models.committee import Committee
from grokdyn.tasks.multi_index import MultiIndex
from grokdyn.tasks.streams import split_keys
from grokdyn.theory.committee_population import Moments, Rates, Target, errors
from grokdyn.theory.lines.base import Failure, Line, not_fresh, not_plain_descent, other_than, unequal
from grokdyn.theory.lines.rows import first_weights

# Updates times the dimension cubed: half a minute on a core beyond.
MOST = 10**11


class PopulationCommittee(Line):
    """``theory.committee_population``: descent on the error over all inputs, from a run's own weights and target.

    Batches of fresh points follow it but for their noise.
    """

    name = "committee machine on the population"
    source = "Kumar et al. 2024, equation 6"
    of_streams = ("split", "init")

    def failures(self, experiment: Any) -> Iterator[Failure]:
        task, model, loss = experiment.task, experiment.model, experiment.loss
        yield from other_than("task", task, MultiIndex, "multi_index")
        if isinstance(task, MultiIndex):
            yield from unequal("task", task, cubic=0.0, quartic=0.0)
            if task.indices > 1:
                yield from unequal("task", task, combine="sum")
            if experiment.steps * task.dimension**3 > MOST:
                yield "task.dimension", task.dimension, f"at most {int((MOST / experiment.steps) ** (1 / 3))} here"
        yield from other_than("model", model, Committee, "committee")
        yield from unequal("model", model, linearised=False)
        yield from other_than("loss", loss, MSE, "mse")
        if isinstance(loss, MSE):
            yield from unequal("loss", loss, reduction="mean")
        yield from not_plain_descent(experiment, batches=True)
        yield from not_fresh(experiment)

    def curves(self, experiment: Any, steps: np.ndarray) -> dict[str, np.ndarray]:
        model, rate = experiment.model, experiment.optimizer.learning_rate
        first, target = beginning(experiment)
        rates = Rates(rate, model.epsilon, model.output_scale, model.width, model.rescaled, model.centred)
        told = errors(first, target, rates, steps)
        return {"train_loss": told, "test_loss": told}


def beginning(experiment: Any) -> tuple[Moments, Target]:
    """Return the moments at step 0 and the target that a run of this seed draws."""
    task = experiment.task
    with jax.enable_x64(True):
        beta, (constant, linear, quadratic, *_) = task.rule(split_keys(experiment)[1]), task.coefficients()
    beta, share = np.asarray(beta), 1 / np.sqrt(task.indices)
    B = 2 * float(quadratic) * share * beta @ beta.T
    # K constants over the root of K.
    target = Target(float(linear) * share * beta.sum(axis=1), B, float(constant) * task.indices * share)
    return Moments.of(first_weights(experiment)), target
