"""How much better a network classifies with every example that its sequence has shown."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.probes.base import Probe, Variable
from grokdyn.probes.fit import told
from grokdyn.probes.view import View
from grokdyn.tasks.in_context_classes import InContextClassification
from grokdyn.tasks.shapes import Conflicts, Shapes


class InContextAccuracy(Probe):
    """Accuracy by the number of examples that a sequence has shown, and its rise within the sequence, of every part.

    For ``train``, the sequences of the next update, ``test``, sequences of tasks that train, and ``unseen``, of tasks
    that do not: ``<part>_shown_accuracy`` [examples] is the share of sequences whose answer is right after so many
    examples, 0, ..., L - 1; ``<part>_improvement`` its last entry less its first (Kirsch et al. 2022). A network that
    knows inputs and task by heart is right from the first on and has none, one that tells the task has some on tasks
    that train, one that learns from the sequence as much on those that do not.

    ``<part>_nearest_accuracy`` [examples] is that of the rule which gives an input the answer of the nearest one before
    it, |A x_i - A x_j| least, of equal ones the first; 1 / classes where there is none.
    """

    def conflicts(self, shapes: Shapes) -> Conflicts:
        if not isinstance(shapes.experiment.task, InContextClassification):
            yield "kind", "in_context_accuracy", "another probe; or the task in_context_classification"

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        axes: dict[str, Any] = {"dims": ("examples",), "coordinates": {"examples": range(shapes.signature.answers)}}
        found = {}
        for part in shapes.parts:
            words = f"{told(part)} accuracy after so many examples"
            found[f"{part}_shown_accuracy"] = Variable(words, part=part, **axes)
            found[f"{part}_nearest_accuracy"] = Variable(f"{words}, nearest one", part=part, **axes)
            found[f"{part}_improvement"] = Variable(f"{told(part)} accuracy, last less first", part=part)
        return found

    def measure(self, view: View) -> dict[str, jax.Array]:
        task = view.experiment.task
        right = view.predictions == view.labels
        near = nearest(jnp.asarray(view.inputs)[..., : task.width], view.labels) == view.labels
        found = {}
        for part, rows in view.parts.items():
            shown, of_nearest = shares(right, rows), shares(near, rows).at[0].set(1 / task.classes)
            found[f"{part}_shown_accuracy"], found[f"{part}_nearest_accuracy"] = shown, of_nearest
            found[f"{part}_improvement"] = shown[-1] - shown[0]
        return found


def shares(hits: jax.Array, rows: jax.Array) -> jax.Array:
    """Return which share of the marked rows [rows] hits, float64 [answers], of hits [rows, answers]."""
    return jnp.sum(hits & rows[:, None], axis=0).astype(jnp.float64) / jnp.sum(rows)


def nearest(x: jax.Array, labels: jax.Array) -> jax.Array:
    """Return the label of the nearest vector before each, -1 where there is none.

    Args:
        x: [rows, length, width]; labels: [rows, length].
    """

    def of(row: tuple[jax.Array, jax.Array]) -> jax.Array:
        vectors, answers = row
        apart = jnp.sum(jnp.square(vectors[:, None] - vectors), axis=-1)
        before = jnp.tril(jnp.ones(apart.shape, bool), -1)
        found = answers[jnp.argmin(jnp.where(before, apart, jnp.inf), axis=1)]
        return jnp.where(jnp.any(before, axis=1), found, -1)

    return jax.lax.map(of, (x.astype(jnp.float64), labels), batch_size=64)
