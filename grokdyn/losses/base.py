"""What every loss offers."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from grokdyn.spec.base import Spec


class Loss(Spec):
    """Base of all losses; the training loss is the mean of ``rows`` over the train rows."""

    def rows(self, logits: jax.Array, labels: jax.Array) -> jax.Array:
        """Return the loss of every row [rows] for logits [rows, classes] and labels [rows]."""
        raise NotImplementedError


def pick(values: jax.Array, labels: jax.Array) -> jax.Array:
    """Return ``values[i, labels[i]]`` [rows]; by comparison, whose gradient is no scatter."""
    return jnp.sum(jnp.where(one_hot(labels, values.shape[-1]), values, jnp.zeros((), values.dtype)), axis=-1)


def one_hot(labels: jax.Array, classes: int) -> jax.Array:
    """Return bool [rows, classes]."""
    return labels[:, None] == jnp.arange(classes, dtype=labels.dtype)
