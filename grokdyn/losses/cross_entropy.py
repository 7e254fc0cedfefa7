"""Softmax cross-entropy in a chosen precision."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp

from grokdyn.losses import precision as exact
from grokdyn.losses.base import Loss, one_hot, pick
from grokdyn.spec.base import field
from grokdyn.spec.rules import Choice, Number, Optional


class CrossEntropy(Loss):
    """Softmax cross-entropy: -sum_k t_k log softmax(z / temperature)_k, t_k = (1 - s)[k = y] + s/classes.

    s is ``label_smoothing``; where labels are shares of the classes they stand in place of [k = y]. The logits are
    rounded to ``precision`` whatever the model's dtype, the softmax is computed in it, and the gradient that returns to
    the logits is rounded to it: what arrives from the mean over n rows is 1/n in that precision, as in the code of
    Prieto et al. (2025). Losses of rows come out in float32, those of float64 in float64, so that their mean is too.

    In float32 and float64 the gradient in z is (p - t) / n with the difference formed first, see ``log_loss``.

    Rounding ``every`` operation makes a row's loss and the gradient of its correct logit exactly 0 once the sum of
    exponentials is 1. Rounding the ``result`` only is what PyTorch's kernel does in float16 and bfloat16: the loss is
    0 where float32's would be, and learning ends where gradients are below half of float16's smallest number, 2^-24.
    """

    takes_shares = True

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

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        if self.precision not in exact.NARROW:
            yield "rounding", f"precision is {self.precision}"

    def rows(self, logits: jax.Array, labels: jax.Array) -> jax.Array:
        z, narrow = self.scaled(logits), self.precision in exact.NARROW
        if self.label_smoothing is None and labels.ndim == 1:
            if narrow:
                return -pick(exact.narrow_log_softmax(z, self.precision, self.rounding), labels)
            return log_loss(z, labels)
        target = exact.round_to(self.target(labels, z), self.precision)
        if not narrow:
            return smoothed_log_loss(z, target)
        terms = products(target, exact.narrow_log_softmax(z, self.precision, self.rounding))
        return -exact.rounded(jnp.sum(exact.rounded(terms, self.precision), axis=-1), self.precision)

    def target(self, labels: jax.Array, z: jax.Array) -> jax.Array:
        """Return the shares of the classes in the target [rows, classes]."""
        classes = z.shape[-1]
        if self.label_smoothing is None:
            return labels.astype(z.dtype)
        s = jnp.asarray(self.label_smoothing, z.dtype)
        if labels.ndim > 1:
            return (1 - s) * labels.astype(z.dtype) + s / classes
        return jnp.where(one_hot(labels, classes), 1 - s + s / classes, s / classes)

    def sum_of_exponentials(self, logits: jax.Array) -> jax.Array:
        return exact.sum_of_exponentials(self.scaled(logits), self.precision)

    def scaled(self, logits: jax.Array) -> jax.Array:
        """Return logits / temperature in the precision."""
        z = exact.rounded(logits, self.precision)
        if self.temperature is None:
            return z
        return exact.rounded(z / jnp.asarray(self.temperature, z.dtype), self.precision)


def products(target: jax.Array, log_p: jax.Array) -> jax.Array:
    """Return target * log p; where the target is 0, a log p of -inf counts nothing."""
    return jnp.where(target > 0, target * log_p, jnp.zeros((), log_p.dtype))


@jax.custom_jvp
def log_loss(z: jax.Array, labels: jax.Array) -> jax.Array:
    """Return -log softmax(z)_y [rows] in the dtype of z.

    Its derivative is p - [k = y], and multiplied only then by what comes back, 1/n of a mean. Differentiating the
    sum by itself, as ``jax.nn.log_softmax`` and optax leave it, rounds p_y / n before 1 / n is taken off: near softmax
    collapse, where 1 - p_y is a few units of rounding, the gradient of the correct logit is wrong by several per
    cent, more or less for one n than for another (6.5 % for 7661 rows), and learning ends elsewhere. PyTorch's kernel
    on a CPU takes p_y / n off unrounded. Here 1 - p_y is (total - e_y) / total, a difference without rounding wherever
    p_y >= 1/2, so that the gradient is 0 exactly where the row has collapsed and right to the last bits elsewhere.
    """
    return log_loss_and_slope(z, labels)[0]


def log_loss_and_slope(z: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return the loss of every row, and e - total t and total [rows, 1], whose quotient is its derivative."""
    shifted, exponentials, total = exact.shifted_exponentials(z, str(z.dtype))
    own = jnp.where(one_hot(labels, z.shape[-1]), total, jnp.zeros((), z.dtype))
    return jnp.log(total)[:, 0] - pick(shifted, labels), exponentials - own, total


@log_loss.defjvp
def log_loss_tangent(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    loss, slope, total = log_loss_and_slope(*primals)
    return loss, jnp.sum(slope * tangents[0], axis=-1) / total[:, 0]


@jax.custom_jvp
def smoothed_log_loss(z: jax.Array, target: jax.Array) -> jax.Array:
    """Return -sum_k t_k log softmax(z)_k [rows], t summing to 1; differentiated in z, as ``log_loss``."""
    shifted, _, total = exact.shifted_exponentials(z, str(z.dtype))
    return -jnp.sum(products(target, shifted - jnp.log(total)), axis=-1)


@smoothed_log_loss.defjvp
def smoothed_log_loss_tangent(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    z, target = primals
    _, exponentials, total = exact.shifted_exponentials(z, str(z.dtype))
    slope = exponentials - total * target
    return smoothed_log_loss(z, target), jnp.sum(slope * tangents[0], axis=-1) / total[:, 0]
