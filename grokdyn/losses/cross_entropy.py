"""Softmax cross-entropy."""

from __future__ import annotations

import jax

from grokdyn.losses.base import Loss, pick
from grokdyn.spec.base import field
from grokdyn.spec.rules import Choice


class CrossEntropy(Loss):
    """Softmax cross-entropy: -log softmax(z)_y, with the maximum subtracted first, in the given precision."""

    precision: str = field(Choice(("float32",)), default="float32", doc="in which the softmax is computed")

    def rows(self, logits: jax.Array, labels: jax.Array) -> jax.Array:
        return -pick(jax.nn.log_softmax(logits.astype(self.precision)), labels)
