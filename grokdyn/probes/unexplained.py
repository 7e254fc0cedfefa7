"""Squared error in units of the targets' variance."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from grokdyn.probes.base import Probe, Variable
from grokdyn.probes.view import View, mean
from grokdyn.spec.errors import Words
from grokdyn.tasks.shapes import Conflicts, Shapes
from grokdyn.tasks.signature import Reals


class Unexplained(Probe):
    """Share of the variance of real targets that outputs leave: sum |f - y|^2 / sum |y - mean y|^2, which is 1 - R^2.

    ``train_unexplained`` and that of every other part: mean and variance are the part's own, targets as trained. 1 is
    as good as the mean; it can be more.
    """

    def conflicts(self, shapes: Shapes) -> Conflicts:
        yield from super().conflicts(shapes)
        if not isinstance(shapes.signature.targets, Reals):
            yield "kind", Words("targets that are classes"), "a task of real targets, or the probe accuracy"

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        label = "unexplained share of the targets' variance"
        return {f"{name}_unexplained": Variable(f"{name}: {label}", part=name) for name in shapes.parts}

    def measure(self, view: View) -> dict[str, jax.Array]:
        f, y = view.logits.astype(jnp.float64), view.labels.astype(jnp.float64)
        return {f"{name}_unexplained": share(f, y, rows) for name, rows in view.parts.items()}


def share(f: jax.Array, y: jax.Array, rows: jax.Array) -> jax.Array:
    """Return the unexplained share over marked rows of outputs and targets [rows, outputs]."""
    middle = jax.vmap(mean, (1, None))(y, rows)
    return mean(jnp.sum(jnp.square(f - y), axis=1), rows) / mean(jnp.sum(jnp.square(y - middle), axis=1), rows)
