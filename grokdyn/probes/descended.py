"""What transforms make of the rows that train."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from grokdyn.losses.base import of_rows
from grokdyn.probes.base import Probe, Shapes, Variable, fits_all
from grokdyn.probes.view import View, mean
from grokdyn.spec.errors import Words
from grokdyn.tasks.shapes import Conflicts
from grokdyn.tasks.signature import Reals


class Descended(Probe):
    """``descended_loss``: what the next update descends on, sum_i w_i l_i / sum_i w_i over its transformed rows.

    Its rows are those of a mini-batch where there is one. ``train_loss`` is over all clean train rows, all alike.
    """

    def conflicts(self, shapes: Shapes) -> Conflicts:
        return needs_transforms(shapes)

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        return {"descended_loss": Variable("loss on the transformed rows")}

    def measure(self, view: View) -> dict[str, jax.Array]:
        rows = view.transformed
        logits = view.function(view.params, rows.inputs)
        losses = of_rows(view.loss, logits, rows.labels, view.targets).astype(jnp.float64)
        return {"descended_loss": jnp.sum(losses * rows.weights) / jnp.sum(rows.weights)}


class TrainSet(Probe):
    """The train rows that transforms choose now, and those that they leave out.

    ``present_rows``: how many have a weight; ``present_loss`` and, of classes, ``present_accuracy``: means over them,
    all alike; ``absent_loss`` and ``absent_accuracy``: over the others, nan where there are none.
    """

    conflicts = fits_all

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        found = {"present_rows": Variable("train rows that train now", units="rows")}
        for which, told in (("present", "train rows that train now"), ("absent", "train rows that are left out")):
            found[f"{which}_loss"] = Variable(f"loss of {told}")
            if not isinstance(shapes.signature.targets, Reals):
                found[f"{which}_accuracy"] = Variable(f"accuracy on {told}")
        return found

    def measure(self, view: View) -> dict[str, jax.Array]:
        rows, weighed = view.rows, view.row_weights > 0
        masks = {"present": rows.counts & weighed, "absent": rows.counts & ~weighed}
        found = {"present_rows": jnp.sum(masks["present"]).astype(jnp.float64)}
        real = not jnp.issubdtype(view.labels.dtype, jnp.integer)
        right = None if real else view.right(view.labels)[rows.index].astype("float32")
        for which, mask in masks.items():
            found[f"{which}_loss"] = mean(view.row_losses[rows.index], mask)
            if right is not None:
                found[f"{which}_accuracy"] = mean(right, mask)
        return found


def needs_transforms(shapes: Shapes) -> Conflicts:
    """Yield a conflict where rows are not transformed."""
    if not shapes.experiment.transforms:
        yield "kind", Words("no transforms"), "an experiment with transforms; train_loss is what it descends on"
