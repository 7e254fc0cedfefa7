"""Two-layer networks that learn features, at infinite width."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from grokdyn.losses.cross_entropy import CrossEntropy
from grokdyn.losses.mse import MSE
from grokdyn.models.initializers import multiplier
from grokdyn.models.mlp import MLP
from grokdyn.theory.diagonal import softmax, squares
from grokdyn.theory.lines.base import Failure, Line, not_plain_descent, other_than, train_points, unequal
from grokdyn.theory.lines.rows import Rows, metrics, rows_of
from grokdyn.theory.mean_field import ACTIVATIONS, Learned, Scales, learning

UNITS, REPEATS = 2048, 2
# Updates times train rows times all rows: half a minute on a core beyond.
MOST = 10**6
GAUSSIAN = ("ntk", "mup", "normal")


class MeanFieldNetwork(Line):
    """``theory.mean_field``: losses of the limit on a run's own rows; those of width N are off by O(1/N) on average.

    Its strength of feature learning is 1 / F, F the readout's factor times the width: ``output_scale`` for ``mup``,
    ``output_scale`` times the root of the width for ``ntk``.
    """

    name = "mean-field limit of two-layer networks"
    source = "Mei et al. 2018, Bordelon & Pehlevan 2022"
    of_streams = ("split",)

    def failures(self, experiment: Any) -> Iterator[Failure]:
        model, task = experiment.model, experiment.task
        if isinstance(model, MLP) and len(model.hidden) != 1:
            yield "model.kind", f"mlp with hidden = {list(model.hidden)}", "mlp with one hidden layer"
        yield from of_limit(experiment, GAUSSIAN, tuple(ACTIVATIONS))
        yield from not_plain_descent(experiment, decay=True)
        if model.centred and getattr(experiment.optimizer, "weight_decay", 0):
            yield "optimizer.weight_decay", experiment.optimizer.weight_decay, "0.0 where centred: f_0 does not decay"
        rows = task.signature().rows
        if experiment.steps * rows * train_points(task) > MOST:
            yield "steps", experiment.steps, f"at most {MOST // (rows * train_points(task))} with so many rows"

    def curves(self, experiment: Any, steps: np.ndarray) -> dict[str, np.ndarray]:
        rows, order = rows_of(experiment), np.argsort(steps, kind="stable")
        found = function(experiment, rows, steps[order])
        f = np.empty((len(steps), *rows.y.shape))
        f[order] = found.mean
        return metrics(f, rows, experiment.loss)


def of_limit(experiment: Any, inits: tuple[str, ...], activations: tuple[str, ...]) -> Iterator[Failure]:
    """Yield what keeps a network of any depth from having a mean-field limit, or its loss from being known."""
    model, loss = experiment.model, experiment.loss
    yield from other_than("model", model, MLP, "mlp")
    if isinstance(model, MLP):
        if model.activation not in activations:
            yield "model.activation", model.activation, ", ".join(activations)
        if model.init not in inits:
            yield "model.init", model.init, f"{', '.join(inits)}, whose weights are Gaussian"
        elif model.init != "mup" and not model.centred:
            yield "model.centred", False, "true, or init 'mup': the function of step 0 is not 0 at infinite width"
        elif model.init == "ntk" and model.output_scale >= 1:
            yield "model.output_scale", model.output_scale, "below 1: from there on kernels stay as they are"
        yield from unequal("model", model, bias=False, norm="none", residual=False, dropout=0.0, linearised=False)
    if not isinstance(loss, CrossEntropy | MSE):
        yield from other_than("loss", loss, MSE, "cross_entropy or mse")
    if isinstance(loss, CrossEntropy):
        yield from unequal("loss", loss, label_smoothing=None, temperature=None)


def function(experiment: Any, rows: Rows, steps: np.ndarray, units: int = UNITS, repeats: int = REPEATS) -> Learned:
    """Return the outputs of the limit on all rows after numbers of updates, which rise."""
    y = rows.y[rows.parts["train"]]
    law = (gram_of(experiment, rows), rows.parts["train"], slope_of(experiment.loss, y), y.shape[1])
    return learning(*law, steps, scales_of(experiment), units, repeats)


def gram_of(experiment: Any, rows: Rows) -> np.ndarray:
    """Return products of inputs as the first layer has them [rows, rows]."""
    return multiplier(experiment.model.init, rows.x.shape[1], last=False) ** 2 * rows.x @ rows.x.T


def slope_of(loss: Any, y: np.ndarray) -> Any:
    """Return outputs of train rows -> the derivative of the whole loss by each."""
    if isinstance(loss, CrossEntropy):
        return softmax(y)
    return squares(y, y.size if loss.reduction == "mean" else 1)


def scales_of(experiment: Any) -> Scales:
    """Return what the parameterisation and the rate come to."""
    model, optimizer = experiment.model, experiment.optimizer
    N = model.hidden[-1]
    c = model.output_scale * multiplier(model.init, N, last=True)
    rate = optimizer.learning_rate / (model.output_scale**2 if model.rescaled else 1)
    spread = model.init_scale**2
    return Scales(N * c, rate * c, spread, spread, optimizer.learning_rate * optimizer.weight_decay, model.activation)
