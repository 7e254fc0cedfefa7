"""What every loss offers."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.losses.precision import sum_of_exponentials
from grokdyn.spec.base import Spec
from grokdyn.tasks.shapes import Conflicts, Shapes, needs_classes


class Loss(Spec):
    """Base of all losses; the training loss is the sum of ``rows`` over train rows, divided by their ``divisor``."""

    takes_shares = False  # True where labels may also be shares of the classes, floats [rows, outputs] that sum to 1

    def conflicts(self, shapes: Shapes) -> Conflicts:
        """Yield ``(field, came, allowed)`` where the loss does not fit the task; before compiling.

        By default labels are classes; a loss of real vectors [rows, outputs] too yields nothing here.
        """
        return needs_classes(shapes, "a loss of real targets, such as mse")

    def rows(self, logits: jax.Array, labels: jax.Array) -> jax.Array:
        """Return the loss of every row [rows] for logits [rows, outputs] and labels [rows]."""
        raise NotImplementedError

    def divisor(self, count: jax.Array) -> jax.Array:
        """Return what the sum over ``count`` rows is divided by in training; records show means in any case."""
        return count

    def in_force(self, step: Any) -> Any:
        """Return the loss that the update made at a step minimises, and a record at that step shows: always this."""
        return self

    def sum_of_exponentials(self, logits: jax.Array) -> jax.Array:
        """Return sum_k exp(z_k - max z) [rows], in the precision in which the loss would take a softmax."""
        return sum_of_exponentials(logits, str(logits.dtype))


def of_rows(loss: Any, logits: jax.Array, labels: jax.Array, targets: Any) -> jax.Array:
    """Return a loss's value for every row [rows], the mean over answers where logits are [rows, answers, outputs].

    Args:
        targets: the signature's; where they are ``partial`` the mean is over the answers that a row asks for.
    """
    if logits.ndim == 2:
        return loss.rows(logits, labels)
    known = jnp.maximum(labels, 0) if targets.partial else labels
    each = loss.rows(logits.reshape(-1, logits.shape[-1]), known.reshape(-1)).reshape(labels.shape)
    if not targets.partial:
        return jnp.mean(each, axis=-1)
    asked = labels >= 0
    total = jnp.sum(jnp.where(asked, each, jnp.zeros((), each.dtype)), axis=-1)
    return total / jnp.sum(asked, axis=-1).astype(each.dtype)


@jax.custom_jvp
def pick(values: jax.Array, labels: jax.Array) -> jax.Array:
    """Return ``values[i, labels[i]]`` [rows]; its gradient compares labels with classes and is no scatter.

    Comparing in the forward direction too would sum over the classes, which a CPU does one by one: a tenth of a small
    network's step.
    """
    return jnp.take_along_axis(values, labels[:, None], axis=-1, mode="promise_in_bounds")[:, 0]


@pick.defjvp
def pick_tangent(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    values, labels = primals
    tangent = tangents[0]
    of_label = jnp.where(one_hot(labels, values.shape[-1]), tangent, jnp.zeros((), tangent.dtype))
    return pick(values, labels), jnp.sum(of_label, axis=-1)


def one_hot(labels: jax.Array, classes: int) -> jax.Array:
    """Return bool [rows, classes], true at the labels [rows]; a label that is no class has none. Raises nothing."""
    return labels[:, None] == jnp.arange(classes, dtype=labels.dtype)
