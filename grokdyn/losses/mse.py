"""Squared error to one-hot codes or to real targets."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from grokdyn.losses.base import Loss, one_hot
from grokdyn.spec.base import field
from grokdyn.spec.rules import Choice
from grokdyn.tasks.shapes import Conflicts, Shapes


class MSE(Loss):
    """Squared error (z_k - y_k)^2, y a one-hot code or a real target, as ``nn.MSELoss``.

    ``mean``: over rows and outputs; the zero network has loss 1/classes on classes. ``sum``: over the outputs, and the
    gradient is that of the sum over train rows; records show the mean over rows of a row's sum, and probes of the
    gradient and the Hessian what trains, the sum.
    """

    takes_shares = True

    reduction: str = field(Choice(("mean", "sum")), default="mean", doc="over rows and outputs")

    def conflicts(self, shapes: Shapes) -> Conflicts:
        return iter(())

    def rows(self, logits: jax.Array, labels: jax.Array) -> jax.Array:
        targets = labels if labels.ndim > 1 else one_hot(labels, logits.shape[-1])
        squares = jnp.square(logits - targets.astype(logits.dtype))
        return jnp.mean(squares, axis=-1) if self.reduction == "mean" else jnp.sum(squares, axis=-1)

    def divisor(self, count: jax.Array) -> jax.Array:
        return count if self.reduction == "mean" else jnp.ones_like(count)
