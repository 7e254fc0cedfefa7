"""StableMax cross-entropy: a softmax whose exponential is replaced by a function that grows only linearly."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from grokdyn.losses.base import Loss, one_hot, pick
from grokdyn.losses.precision import carrier
from grokdyn.spec.base import field
from grokdyn.spec.rules import Choice


class StableMaxCrossEntropy(Loss):
    """StableMax cross-entropy (Prieto et al. 2025): -log(s(z_y) / sum_k s(z_k)), see ``s``.

    The logits are cast to ``precision`` whatever the model's dtype. Probabilities fall only as 1/z, so nothing
    collapses in float64 before the logits reach 1e15; in float32 a loss is exactly 0 from logits near 4e4 on.
    """

    takes_shares = True

    precision: str = field(Choice(("float64", "float32")), default="float64", doc="in which it is computed")

    def rows(self, logits: jax.Array, labels: jax.Array) -> jax.Array:
        z = logits.astype(carrier(self.precision))
        return stablemax_rows(z, labels) if labels.ndim == 1 else stablemax_shares(z, labels.astype(z.dtype))


def s(x: jax.Array) -> jax.Array:
    """Return x + 1 for x >= 0, 1/(1 - x) below.

    The division sees no x above 0: at x = 1 the branch not taken would have an infinite gradient, and the zero that
    ``where`` multiplies it with would make a nan.
    """
    return jnp.where(x < 0, 1 / (1 - jnp.minimum(x, 0)), jnp.maximum(x, 0) + 1)


def stablemax_shares(z: jax.Array, target: jax.Array) -> jax.Array:
    """Return -sum_k t_k log(s(z_k) / sum_l s(z_l)) [rows]."""
    values = s(z)
    return jnp.log(jnp.sum(values, axis=-1)) - jnp.sum(target * jnp.log(values), axis=-1)


@jax.custom_jvp
def stablemax_rows(z: jax.Array, labels: jax.Array) -> jax.Array:
    """Return -log(s(z_y) / sum_k s(z_k)) [rows]."""
    values = s(z)
    return -jnp.log(pick(values, labels) / jnp.sum(values, axis=-1))


@stablemax_rows.defjvp
def stablemax_rows_tangent(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    """d loss / d z_k = s'(z_k) / sum s, and for the label (s(z_y) / sum s - 1) / (1 + |z_y|), the difference formed
    first: it is right to the last bits of the sum, and 0 where s(z_y) is all of it.

    s'(x) is 1 for x >= 0 and s(x)^2 below; d log s / dx is 1/(1 + |x|) on both sides. Differentiating the quotient
    as it stands would square the sum, which overflows.
    """
    z, labels = primals
    values, own, numbers = s(z), one_hot(labels, z.shape[-1]), jnp.finfo(z.dtype)
    # XLA multiplies by 1 / total, which is subnormal, so 0, near the largest number: numerator and denominator are
    # taken by eighths, and a sum beyond the range stays at its ends.
    eighth = jnp.clip(jnp.sum(values, axis=-1, keepdims=True), 8 * numbers.tiny, numbers.max) / 8
    slope = jnp.where(z < 0, jnp.square(jnp.minimum(values, 1)), jnp.ones((), z.dtype))
    share = jnp.where(own, values / 8 - eighth, slope / 8) / eighth
    # A choice of its own: of two divisions in a row XLA would make one by a product, which overflows.
    outer = jnp.where(own, 1 / (1 + jnp.abs(z)), jnp.ones((), z.dtype))
    return stablemax_rows(z, labels), jnp.sum(share * outer * tangents[0], axis=-1)
