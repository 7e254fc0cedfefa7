"""How well a network fits: loss and accuracy."""

from __future__ import annotations

import jax

from grokdyn.probes.base import Probe, Shapes, Variable, fits_all, fits_classes
from grokdyn.probes.view import View, mean


class Loss(Probe):
    """Mean loss over the rows of every part: ``train_loss`` (labels as trained), ``test_loss`` (clean labels), and
    ``<part>_loss`` of each part that the task names besides.

    Of a model with a penalty that joins the train loss, such as a mixture of experts, also ``penalty``, over the train
    rows; it is in none of the losses.
    """

    conflicts = fits_all

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        found = {f"{part}_loss": Variable(f"{told(part)} loss", part=part) for part in shapes.parts}
        if shapes.experiment.model.penalised:
            found["penalty"] = Variable("what the model adds to the train loss")
        return found

    def measure(self, view: View) -> dict[str, jax.Array]:
        found = {f"{part}_loss": mean(view.row_losses, rows) for part, rows in view.parts.items()}
        return found | {"penalty": view.penalty} if view.experiment.model.penalised else found


class Accuracy(Probe):
    """Share of rows whose largest logit is the label's, of equal ones the first; of several answers, all have to be.

    ``train_accuracy`` counts labels as trained; ``<part>_accuracy`` is that of a part that the task names. With label
    noise also, among train rows: ``clean_rows_accuracy`` of those not corrupted, ``corrupted_rows_accuracy`` of the
    corrupted ones against the corrupted label (memorised), ``recovered_accuracy`` of the same against the true
    label (Doshi et al. 2023, inversion).
    """

    conflicts = fits_classes

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        found = {f"{part}_accuracy": Variable(f"{told(part)} accuracy", part=part) for part in shapes.parts}
        if shapes.noisy:
            found |= {
                "clean_rows_accuracy": Variable("accuracy on clean train rows"),
                "corrupted_rows_accuracy": Variable("accuracy on corrupted train rows, as labelled"),
                "recovered_accuracy": Variable("accuracy on corrupted train rows, true label"),
            }
        return found

    def measure(self, view: View) -> dict[str, jax.Array]:
        right = view.right(view.labels).astype("float32")
        found = {f"{part}_accuracy": mean(right, rows) for part, rows in view.parts.items()}
        if view.noisy:
            corrupted = view.split.corrupted
            truly = view.right(view.clean_labels).astype("float32")
            found |= {
                "clean_rows_accuracy": mean(right, view.train & ~corrupted),
                "corrupted_rows_accuracy": mean(right, corrupted),
                "recovered_accuracy": mean(truly, corrupted),
            }
        return found


def told(part: str) -> str:
    """Return a part's name in words."""
    return part.replace("_", " ")
