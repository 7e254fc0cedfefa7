"""How near to rank one the gradients of weight matrices are, part by part."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.losses.base import of_rows
from grokdyn.models.output import Params
from grokdyn.probes.base import Probe, Shapes, Variable
from grokdyn.probes.rank import matrices, singular_values, stable
from grokdyn.probes.view import View
from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.rules import Names
from grokdyn.tasks.parts import parts_of
from grokdyn.tasks.shapes import Conflicts, needs_rows_alone


class GradientRank(Probe):
    """Share of a gradient's squared norm that the nearest matrix of rank one holds, matrix by matrix.

    ``<part>_gradient_top_share`` [matrix]: s_1^2 / sum_i s_i^2, s the singular values, in float64, of the gradient of
    the mean loss over the rows of a part, labels as trained, as the network is measured: 1 where the gradient is of
    rank one, and all that a low-rank update of that rank could take of it. It is one over the stable rank of ``Rank``.
    A tensor of more dimensions counts by the mean over its matrices; a gradient of 0 has nan.

    The rows of a part are computed all at once; a penalty that the model adds is not in it.
    """

    parts: tuple[str, ...] = field(Names(), default=("train",), doc="train, test, or parts that the task names")

    def conflicts(self, shapes: Shapes) -> Conflicts:
        yield from super().conflicts(shapes)
        yield from needs_rows_alone(shapes)
        if not matrices(shapes.params):
            yield "kind", Words("a model without matrices"), "a model with one"
        if not self.parts:
            yield "parts", Words("none"), "at least one of " + ", ".join(shapes.parts)
        for part in self.parts:
            if part not in shapes.parts:
                yield "parts", part, "parts of the rows: " + ", ".join(shapes.parts)

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        axis: dict[str, Any] = {"dims": ("matrix",), "coordinates": {"matrix": list(matrices(shapes.params))}}
        told = "share of the gradient's largest singular value"
        return {
            f"{part}_gradient_top_share": Variable(f"{told}, {part.replace('_', ' ')}", part=part, **axis)
            for part in self.parts
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        return {f"{part}_gradient_top_share": shares(gradient_of(view, part)) for part in self.parts}


def gradient_of(view: View, part: str) -> Params:
    """Return the gradient of the mean loss over the rows of a part."""
    known = parts_of(view.experiment.task)
    counts = view.parts[part]
    # A named part's rows are known while tracing, so that the others cost nothing.
    where = np.flatnonzero(known.mask(part)) if part in known.roles else np.arange(counts.shape[0])
    inputs, labels = jnp.asarray(view.inputs)[where], view.labels[where]
    weights = counts[where] / jnp.sum(counts)

    def loss(params: Params) -> jax.Array:
        rows = of_rows(view.loss, view.function(params, inputs), labels, view.targets)
        return jnp.sum(jnp.where(counts[where], rows * weights.astype(rows.dtype), 0))

    return jax.grad(loss)(view.params)


def shares(gradient: Params) -> jax.Array:
    """Return the share of every matrix [matrix]."""
    return jnp.stack([jnp.mean(1 / stable(singular_values(g))) for g in matrices(gradient).values()])
