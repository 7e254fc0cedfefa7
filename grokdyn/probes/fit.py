"""How well a network fits: loss and accuracy."""

from __future__ import annotations

import jax

from grokdyn.probes.base import Probe, Shapes, Variable
from grokdyn.probes.view import View, mean


class Loss(Probe):
    """Mean loss over the train rows (labels as trained) and over the test rows (clean labels)."""

    several_answers = True

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        return {"train_loss": Variable("train loss"), "test_loss": Variable("test loss")}

    def measure(self, view: View) -> dict[str, jax.Array]:
        losses = view.row_losses
        return {"train_loss": mean(losses, view.train), "test_loss": mean(losses, view.test)}


class Accuracy(Probe):
    """Share of rows whose largest logit is the label's, of equal ones the first; of several answers, all have to be.

    ``train_accuracy`` counts labels as trained. With label noise also, among train rows: ``clean_rows_accuracy`` of
    those not corrupted, ``corrupted_rows_accuracy`` of the corrupted ones against the corrupted label (memorised),
    ``recovered_accuracy`` of the corrupted ones against the true label (Doshi et al. 2023, inversion).
    """

    needs_classes = True
    several_answers = True

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        found = {"train_accuracy": Variable("train accuracy"), "test_accuracy": Variable("test accuracy")}
        if shapes.noisy:
            found |= {
                "clean_rows_accuracy": Variable("accuracy on clean train rows"),
                "corrupted_rows_accuracy": Variable("accuracy on corrupted train rows, as labelled"),
                "recovered_accuracy": Variable("accuracy on corrupted train rows, true label"),
            }
        return found

    def measure(self, view: View) -> dict[str, jax.Array]:
        right = view.right(view.labels).astype("float32")
        found = {"train_accuracy": mean(right, view.train), "test_accuracy": mean(right, view.test)}
        if view.noisy:
            corrupted = view.split.corrupted
            truly = view.right(view.clean_labels).astype("float32")
            found |= {
                "clean_rows_accuracy": mean(right, view.train & ~corrupted),
                "corrupted_rows_accuracy": mean(right, corrupted),
                "recovered_accuracy": mean(truly, corrupted),
            }
        return found
