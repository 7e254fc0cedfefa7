"""Squared error to one-hot codes."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from grokdyn.losses.base import Loss, one_hot


class MSE(Loss):
    """Mean over classes of (z_k - [k = y])^2, as in ``nn.MSELoss`` (mean over rows and classes).

    The zero network has loss 1/classes.
    """

    def rows(self, logits: jax.Array, labels: jax.Array) -> jax.Array:
        errors = logits - one_hot(labels, logits.shape[-1]).astype(logits.dtype)
        return jnp.mean(jnp.square(errors), axis=-1)
