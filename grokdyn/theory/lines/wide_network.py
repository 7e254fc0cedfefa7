"""Wide networks under gradient descent on squared error."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from grokdyn.losses.mse import MSE
from grokdyn.models.fixed_readout import FixedReadout
from grokdyn.models.initializers import multiplier
from grokdyn.models.mlp import MLP
from grokdyn.models.random_features import RandomFeatures
from grokdyn.tasks.signature import Signature
from grokdyn.theory.filters import residual
from grokdyn.theory.infinite_width import CLOSED, Layer, flow, kernels, modes, variances
from grokdyn.theory.lines.base import Failure, Line, deviation, not_plain_descent, other_than, unequal
from grokdyn.theory.lines.rows import rows_of

# One eigendecomposition of so many takes ten seconds.
MOST_TRAIN, MOST_ROWS = 3000, 20_000


class WideNetwork(Line):
    """``theory.infinite_width``: mean losses over the weights of step 0 on a run's own rows, at infinite width.

    Networks without hidden layers follow it at once; those of width n are off by O(1/n) where the activation is smooth,
    and by O(n^-1/2) with ReLU: a unit that is on at a row is moved by that row, one that is off is not, so that
    training turns off more units than it turns on.
    """

    name = "networks of infinite width"
    source = "Jacot et al. 2018, Lee et al. 2019"
    of_streams = ("split",)

    def failures(self, experiment: Any) -> Iterator[Failure]:
        task, model = experiment.task, experiment.model
        signature = task.signature()
        if signature.answers > 1:
            yield "task", f"{signature.answers} answers a row", "one answer a row"
        if not isinstance(model, MLP | RandomFeatures | FixedReadout):
            yield from other_than("model", model, MLP, "mlp, random_features or fixed_readout")
        else:
            if model.activation not in CLOSED:
                yield "model.activation", model.activation, f"{', '.join(CLOSED)}, which have closed forms"
        if isinstance(model, MLP):
            yield from unequal("model", model, norm="none", residual=False, dropout=0.0)
            if model.hidden and model.init != "ntk":
                yield "model.init", model.init, "'ntk': weights that are Gaussian and factors that keep the kernel"
            elif model.hidden and model.centred and model.output_scale < 1:
                yield (
                    "model.output_scale",
                    model.output_scale,
                    "from 1 on: below, the kernel moves",
                )
        yield from other_than("loss", experiment.loss, MSE, "mse")
        yield from not_plain_descent(experiment, momentum=True)
        if signature.rows > MOST_ROWS:
            yield "task", f"{signature.rows} rows", f"at most {MOST_ROWS} rows, {MOST_TRAIN} of them train rows"

    def curves(self, experiment: Any, steps: np.ndarray) -> dict[str, np.ndarray]:
        task, model, loss = experiment.task, experiment.model, experiment.loss
        rows = rows_of(experiment)
        layers, train = layers_of(model, task.signature()), rows.parts["train"]
        phi = model.activation
        cross = kernels(rows.x, rows.x[train], layers, phi)
        among = kernels(rows.x[train], rows.x[train], layers, phi)
        n, outputs = int(train.sum()), rows.y.shape[1]
        rate = 2 * experiment.optimizer.learning_rate
        rate /= n * outputs if loss.reduction == "mean" else 1
        rate /= model.output_scale**2 if model.rescaled else 1
        left = residual(rate * modes(among.tangent)[0], steps[:, None], experiment.optimizer.momentum)
        found = flow(among, cross, variances(rows.x, layers, phi), rows.y[train], left, init=not model.centred)
        errors = np.square(found.mean - rows.y).sum(-1) + outputs * found.variance
        errors /= outputs if loss.reduction == "mean" else 1
        return {f"{part}_loss": errors[:, mask].mean(1) for part, mask in rows.parts.items() if mask.any()}


def layers_of(model: Any, signature: Signature) -> tuple[Layer, ...]:
    """Return the layers of an MLP, random features or a network with a fixed readout, as they are at any width."""
    D, out = signature.inputs.entries, model.output_scale**2
    if isinstance(model, RandomFeatures):
        return Layer(model.gain**2, model.shift**2), Layer(0.0, weight_moves=out)
    if isinstance(model, FixedReadout):
        return Layer(D * model.init_scale**2, weight_moves=D), Layer(out / signature.outputs)
    found = []
    for layer, (fan_in, _) in enumerate(itertools.pairwise(model.sizes(signature))):
        last = layer == len(model.hidden)
        moves = multiplier(model.init, fan_in, last) ** 2 * fan_in * (out if last else 1)
        spread = (model.init_scale * deviation(model.init, fan_in)) ** 2
        bias_moves = (out if last else 1.0) if model.bias else 0.0
        # Biases start as PyTorch's weights do, else at 0.
        bias = bias_moves * spread if model.init == "torch" else 0.0
        found.append(Layer(moves * spread, bias, moves, bias_moves))
    return tuple(found)
