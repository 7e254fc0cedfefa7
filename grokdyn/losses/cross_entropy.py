"""Softmax cross-entropy in a chosen precision."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from grokdyn.losses import precision as exact
from grokdyn.losses.base import Loss, one_hot, pick
from grokdyn.spec.base import field
from grokdyn.spec.rules import Choice, Number, Optional


class CrossEntropy(Loss):
    """Softmax cross-entropy: -sum_k t_k log softmax(z / temperature)_k, t_k = (1 - s)[k = y] + s/classes.

    s is ``label_smoothing``. The logits are rounded to ``precision`` whatever the model's dtype, the softmax is
    computed in it, and the gradient that returns to the logits is rounded to it: what arrives from the mean over n
    rows is 1/n in that precision, as in the code of Prieto et al. (2025). Losses of rows come out in float32, those
    of float64 in float64, so that their mean is too.

    Rounding ``every`` operation makes a row's loss and the gradient of its correct logit exactly 0 once the sum of
    exponentials is 1. Rounding the ``result`` only is what PyTorch's kernel does in float16 and bfloat16: the loss is
    0 where float32's would be, and learning ends where gradients are below half of float16's smallest number, 2^-24.
    """

    precision: str = field(Choice(exact.PRECISIONS), default="float32", doc="in which the softmax is computed")
    label_smoothing: float | None = field(
        Optional(Number(0, 1)), default=None, doc="share of the target spread over all classes"
    )
    temperature: float | None = field(
        Optional(Number(0, open_low=True)), default=None, doc="divides the logits; nothing: 1, and no division"
    )
    rounding: str = field(
        Choice(exact.ROUNDINGS), default="every", doc="what float16 and bfloat16 round: every operation, or the result"
    )

    def rows(self, logits: jax.Array, labels: jax.Array) -> jax.Array:
        log_p = exact.log_softmax(self.scaled(logits), self.precision, self.rounding)
        if self.label_smoothing is None:
            return -pick(log_p, labels)
        s, classes = jnp.asarray(self.label_smoothing, log_p.dtype), log_p.shape[-1]
        target = jnp.where(one_hot(labels, classes), 1 - s + s / classes, s / classes)
        target = exact.round_to(target, self.precision)
        # Where the target is 0, a log p of -inf counts nothing.
        terms = jnp.where(target > 0, target * log_p, jnp.zeros((), log_p.dtype))
        return -exact.rounded(jnp.sum(exact.rounded(terms, self.precision), axis=-1), self.precision)

    def sum_of_exponentials(self, logits: jax.Array) -> jax.Array:
        return exact.shifted_exponentials(self.scaled(logits), self.precision)[2][:, 0]

    def scaled(self, logits: jax.Array) -> jax.Array:
        """Return logits / temperature in the precision."""
        z = exact.rounded(logits, self.precision)
        if self.temperature is None:
            return z
        return exact.rounded(z / jnp.asarray(self.temperature, z.dtype), self.precision)
