"""Losses of logits that are not the network's own: their scale held, or their gradient projected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from grokdyn.losses.switch import Intervention
from grokdyn.spec.base import field
from grokdyn.spec.kinds import Part
from grokdyn.spec.rules import Number
from grokdyn.tasks.shapes import Conflicts, Shapes


class SeenLogits(Intervention):
    """Base of losses that give the inner loss other logits than the network's."""

    inner: Any = field(Part("loss"), doc="the loss")

    @property
    def takes_shares(self) -> bool:
        """Whether the inner loss does."""
        return self.inner.takes_shares

    def seen(self, logits: jax.Array) -> jax.Array:
        """Return the logits that the inner loss sees [rows, outputs]."""
        raise NotImplementedError

    def conflicts(self, shapes: Shapes) -> Conflicts:
        for path, came, allowed in self.inner.conflicts(shapes):
            yield f"inner.{path}", came, allowed

    def in_force(self, step: Any) -> Any:
        return Seen(self.inner.in_force(step), self.seen)


class HeldLogitScale(SeenLogits):
    """The inner loss of logits whose scale is held: z_i -> scale z_i / s_i, row by row.

    s_i is the root mean square over the classes of z_i - mean z_i, and is not differentiated: every row has the
    temperature s_i / scale, whatever the norm of the weights. Rows of equal logits stay as they are.
    """

    scale: float = field(Number(0, open_low=True), default=1.0, doc="root mean square of a row's centred logits")

    def seen(self, logits: jax.Array) -> jax.Array:
        spread = jnp.std(lax.stop_gradient(logits), axis=-1, keepdims=True)
        scale = jnp.asarray(self.scale, logits.dtype)
        return logits * jnp.where(spread > 0, scale / jnp.where(spread > 0, spread, 1), jnp.ones((), logits.dtype))


class ZeroSum(SeenLogits):
    """The inner loss with the sum over classes taken out of the gradient in every row's logits: g_k - mean_l g_l.

    That sum is 0 for cross-entropy but for rounding; near softmax collapse the rounded gradients of the wrong classes
    have no counterpart in the correct one's (2605.06152). The loss's value does not change.
    """

    def seen(self, logits: jax.Array) -> jax.Array:
        middle = jnp.mean(logits, axis=-1, keepdims=True)
        return logits + (lax.stop_gradient(middle) - middle)


@dataclass(frozen=True)
class Seen:
    """A loss in force of changed logits."""

    inner: Any
    change: Callable[[jax.Array], jax.Array]

    def rows(self, logits: jax.Array, labels: jax.Array) -> jax.Array:
        return self.inner.rows(self.change(logits), labels)

    def divisor(self, count: jax.Array) -> jax.Array:
        return self.inner.divisor(count)

    def sum_of_exponentials(self, logits: jax.Array) -> jax.Array:
        return self.inner.sum_of_exponentials(self.change(logits))
