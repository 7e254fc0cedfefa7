"""How well a network fits: loss and accuracy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.probes.base import Probe, Shapes, Variable, fits_all, fits_classes
from grokdyn.probes.view import View, mean, means


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
        found = {f"{part}_loss": value for part, value in means(view.row_losses, view.parts).items()}
        return found | {"penalty": view.penalty} if view.experiment.model.penalised else found


class Accuracy(Probe):
    """Share of rows whose largest logit is the label's, of equal ones the first.

    Of several answers all that a row asks for have to be.

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
        found = {f"{part}_accuracy": value for part, value in means(right, view.parts).items()}
        if view.noisy:
            corrupted = view.split.corrupted
            truly = view.right(view.clean_labels).astype("float32")
            found |= {
                "clean_rows_accuracy": mean(right, view.train & ~corrupted),
                "corrupted_rows_accuracy": mean(right, corrupted),
                "recovered_accuracy": mean(truly, corrupted),
            }
        return found


class TokenAccuracy(Probe):
    """Share of answers that are right, one by one, where a row asks for several in order.

    A row holds its right answers up to the one that is read (teacher forcing). ``<part>_token_accuracy`` is the share
    over all answers of a part's rows, ``<part>_answer_accuracy`` [answer] that of each place, over the rows that ask
    for one there, nan where none does. ``Accuracy`` counts rows of which all are right: exactly those that a network
    would write out by itself, token by token, as long as the largest logit is taken.
    """

    conflicts = fits_classes

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        axes, found = {"answer": np.arange(shapes.signature.answers)}, {}
        for part in shapes.parts:
            found[f"{part}_token_accuracy"] = Variable(f"{told(part)} accuracy by token", part=part)
            words = f"{told(part)} accuracy of an answer"
            found[f"{part}_answer_accuracy"] = Variable(words, dims=("answer",), coordinates=axes, part=part)
        return found

    def measure(self, view: View) -> dict[str, jax.Array]:
        labels = view.labels.reshape(len(view.labels), -1)
        asked, right = labels >= 0, view.predictions.reshape(labels.shape) == labels
        found = {}
        for part, rows in view.parts.items():
            counted = asked & rows[:, None]
            hits = jnp.sum(right & counted, axis=0).astype(jnp.float64), jnp.sum(counted, axis=0)
            found[f"{part}_token_accuracy"] = jnp.sum(hits[0]) / jnp.sum(hits[1])
            found[f"{part}_answer_accuracy"] = hits[0] / hits[1]
        return found


def told(part: str) -> str:
    """Return a part's name in words."""
    return part.replace("_", " ")
