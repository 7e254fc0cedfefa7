"""A two-layer ReLU network with a fixed readout, in its dual: products with rows in place of weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from grokdyn.losses.cross_entropy import CrossEntropy
from grokdyn.models.fixed_readout import FixedReadout
from grokdyn.tasks.streams import stream
from grokdyn.theory.lines.base import Failure, Line, not_plain_descent, other_than, train_points, unequal
from grokdyn.theory.lines.rows import Rows, rows_of
from grokdyn.theory.xor_clusters import Network, descend

# Units times train rows squared, of one update: a second on a core beyond, if all changed.
MOST = 10**10


class FixedReadoutNetwork(Line):
    """``theory.xor_clusters.descend``: a run's own descent in float64, from its own rows and weights."""

    name = "dual dynamics of a two-layer network with a fixed readout"
    source = "Xu et al. 2023"
    of_streams = ("split", "init", "noise")

    def failures(self, experiment: Any) -> Iterator[Failure]:
        model, loss, task = experiment.model, experiment.loss, experiment.task
        yield from other_than("model", model, FixedReadout, "fixed_readout")
        if isinstance(model, FixedReadout):
            yield from unequal("model", model, activation="relu")
        yield from unequal("model", model, output_scale=1.0, centred=False, linearised=False)
        yield from other_than("loss", loss, CrossEntropy, "cross_entropy")
        if isinstance(loss, CrossEntropy):
            yield from unequal("loss", loss, label_smoothing=None, temperature=None)
        yield from not_plain_descent(experiment)
        signature = task.signature()
        if signature.classes != 2:
            yield "task", f"{signature.outputs} outputs", "two classes"
        if isinstance(model, FixedReadout) and 2 * model.width * train_points(task) ** 2 > MOST:
            yield "model.width", model.width, f"at most {MOST // (2 * train_points(task) ** 2)} with so many train rows"

    def curves(self, experiment: Any, steps: np.ndarray) -> dict[str, np.ndarray]:
        rows = rows_of(experiment)
        network, train = dual(experiment, rows), rows.parts["train"]
        y = rows.y[:, 1] - rows.y[:, 0]
        gram, cross = rows.x[train] @ rows.x[train].T, rows.x[train] @ rows.x.T
        rate, found = experiment.optimizer.learning_rate, {}
        for record in descend(network, gram, cross, y[train], rate, steps.tolist()):
            margins = y * (network.readout @ np.maximum(record.tracked, 0))
            found[record.step] = np.logaddexp(0, -margins), margins > 0
        losses, right = (np.stack([found[step][i] for step in steps.tolist()]) for i in (0, 1))
        told = {}
        for part, mask in rows.parts.items():
            if mask.any():
                told |= {f"{part}_loss": losses[:, mask].mean(1), f"{part}_accuracy": right[:, mask].mean(1)}
        return told


def dual(experiment: Any, rows: Rows) -> Network:
    """Return a run's network before training, through its products with train rows and with all rows."""
    model, task = experiment.model, experiment.task
    with jax.enable_x64(True):
        W = model.start(stream(experiment, "init"), task.signature(), experiment.dtype)["W"]
        votes = np.asarray(model.votes(W.shape[1]))
    products = np.asarray(W, np.float64).T @ rows.x.T
    return Network(products[:, rows.parts["train"]], products, votes)
