"""A committee machine on a table of rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from grokdyn.losses.mse import MSE
from grokdyn.models.committee import Committee
from grokdyn.spec.errors import SpecError
from grokdyn.theory.committee_population import Rates
from grokdyn.theory.committee_rows import Units, outputs
from grokdyn.theory.diagonal import squares
from grokdyn.theory.lines.base import Failure, Line, not_plain_descent, other_than, train_points, unequal
from grokdyn.theory.lines.rows import first_weights, metrics, rows_of

# Products of all updates, half a minute on a core beyond, and what the least update costs besides.
MOST, LEAST = 4 * 10**11, 2 * 10**5


class CommitteeNetwork(Line):
    """``theory.committee_rows``: a run's own descent in float64, from its own rows and weights, by few units."""

    name = "dual dynamics of a committee machine"
    source = "Kumar et al. 2024"
    of_streams = ("split", "init", "noise")

    def failures(self, experiment: Any) -> Iterator[Failure]:
        task, model = experiment.task, experiment.model
        signature = task.signature()
        yield from other_than("model", model, Committee, "committee")
        yield from unequal("model", model, linearised=False)
        yield from other_than("loss", experiment.loss, MSE, "mse")
        yield from not_plain_descent(experiment, decay=True)
        if task.endless:
            yield "task.fresh", True, "false"
        if signature.outputs != 1:
            yield "task", f"{signature.outputs} outputs", "one output"
        D = signature.inputs.entries
        units = min(D + 1, model.width) if isinstance(model, Committee) else 1
        each = LEAST + D * (train_points(task) * (D + units) + D * units)
        if experiment.steps * each > MOST:
            yield "steps", experiment.steps, f"at most {MOST // each} with so many rows"

    def curves(self, experiment: Any, steps: np.ndarray) -> dict[str, np.ndarray]:
        return losses(experiment, steps, Units.of(first_weights(experiment)))


def mean_field(experiment: Any, steps: np.ndarray) -> dict[str, np.ndarray]:
    """Return losses of every part for infinitely many units, on the rows that the experiment's seed draws.

    Mean over starts for N to infinity at this rate over N: a line for networks that differ by their ``init`` stream.

    Args:
        experiment: one that ``CommitteeNetwork`` serves; steps: numbers of updates.

    Raises:
        SpecError: where it does not.
    """
    for path, came, allowed in CommitteeNetwork().failures(experiment):
        raise SpecError(path, came, allowed)
    model = experiment.model
    return losses(experiment, np.asarray(steps), Units.many(experiment.task.signature().inputs.entries, model.width))


def losses(experiment: Any, steps: np.ndarray, first: Units) -> dict[str, np.ndarray]:
    """Return losses of every part after numbers of updates from these units."""
    rows, model, loss = rows_of(experiment), experiment.model, experiment.loss
    train, optimizer = rows.parts["train"], experiment.optimizer
    y = rows.y[train][:, 0]
    scaled = Rates(
        optimizer.learning_rate, model.epsilon, model.output_scale, model.width, model.rescaled, model.centred
    )
    slope = squares(y, len(y) if loss.reduction == "mean" else 1)
    order, decay = np.argsort(steps, kind="stable"), optimizer.learning_rate * optimizer.weight_decay
    f = np.empty((len(steps), len(rows.x), 1))
    f[order, :, 0] = outputs(rows.x, train, slope, first, scaled, steps[order], decay)
    return metrics(f, rows, loss)
