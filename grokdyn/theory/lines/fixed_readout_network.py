"""A two-layer ReLU network with a fixed readout, in its dual: products with rows in place of weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from grokdyn.losses.cross_entropy import CrossEntropy
from grokdyn.models.fixed_readout import FixedReadout
from grokdyn.theory.lines.base import Failure, Line, not_plain_descent, other_than, train_points, unequal
from grokdyn.theory.lines.rows import Rows, first_weights, metrics, rows_of
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
            f = network.readout @ np.maximum(record.tracked, 0)
            found[record.step] = np.stack([np.zeros_like(f), f], axis=-1)
        return metrics(np.stack([found[step] for step in steps.tolist()]), rows, experiment.loss)


def dual(experiment: Any, rows: Rows) -> Network:
    """Return a run's network before training, through its products with train rows and with all rows."""
    W = first_weights(experiment)
    with jax.enable_x64(True):
        votes = np.asarray(experiment.model.votes(W.shape[1]))
    products = W.T @ rows.x.T
    return Network(products[:, rows.parts["train"]], products, votes)
