"""What probes of groups of train rows share."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from grokdyn.losses.base import of_rows
from grokdyn.models.output import Params
from grokdyn.probes.base import Shapes
from grokdyn.probes.view import View


def fewest_rows(shapes: Shapes) -> int:
    """Return the least number of train rows that a probe sees in any run."""
    return shapes.experiment.batch_size if shapes.experiment.task.endless else shapes.n_train[0]


def gradient_of(view: View, rows: jax.Array) -> Callable[[Params], Params]:
    """Return params -> the gradient of the mean loss of some train rows, as it is measured."""
    inputs, labels = view.rows.inputs[rows], view.rows.labels[rows]

    def loss(params: Params) -> jax.Array:
        return jnp.mean(of_rows(view.loss, view.function(params, inputs), labels, view.targets))

    return jax.grad(loss)
