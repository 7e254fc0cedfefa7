"""A linear student of harmonics on the circle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from grokdyn.losses.mse import MSE
from grokdyn.models.mlp import MLP
from grokdyn.tasks.harmonics import Harmonics
from grokdyn.theory.circle import aliased, errors, power_law
from grokdyn.theory.filters import descent
from grokdyn.theory.lines.base import (
    Failure,
    Line,
    deviation,
    not_plain_descent,
    other_than,
    unequal,
    weight_of_parameter,
)


class CircleStudent(Line):
    """``theory.circle``: errors at all steps, exact at any number of points, also under momentum and weight decay."""

    name = "spectral algorithms on the circle"
    source = "Velikanov et al. 2024"

    def failures(self, experiment: Any) -> Iterator[Failure]:
        task, model = experiment.task, experiment.model
        yield from other_than("task", task, Harmonics, "harmonics")
        yield from other_than("model", model, MLP, "mlp")
        if isinstance(model, MLP):
            yield from unequal("model", model, hidden=(), bias=False)
            if getattr(experiment.optimizer, "weight_decay", 0):
                yield from unequal("model", model, centred=False, init_scale=0.0)
        yield from other_than("loss", experiment.loss, MSE, "mse")
        yield from not_plain_descent(experiment, momentum=True, decay=True)
        yield from unequal("task", task, label_noise=0.0)

    def curves(self, experiment: Any, steps: np.ndarray) -> dict[str, np.ndarray]:
        task, model, optimizer = experiment.task, experiment.model, experiment.optimizer
        entries, N = 2 * task.frequencies + 1, task.points
        factor = weight_of_parameter(model, entries)
        rate = 2 * optimizer.learning_rate * factor**2 * (1 if experiment.loss.reduction == "mean" else N)
        rate /= model.output_scale**2 if model.rescaled else 1
        start = 0.0 if model.centred else factor * model.init_scale * deviation(model.init, entries)
        lam = power_law(task.frequencies, float(task.exponent))
        # A start w_0 is one more random part of what has to be learned, of the kernel's own powers.
        c2 = power_law(task.frequencies, float(task.target_exponent) + 1) + start**2 * lam
        among = aliased(N, lam, c2)
        decay = optimizer.learning_rate * optimizer.weight_decay / rate
        h = descent(among.seen, steps[:, None], rate, optimizer.momentum, decay).fitted
        found = errors(h, among, float(task.noise_std))
        return {"train_loss": found.train, "test_loss": found.test}
