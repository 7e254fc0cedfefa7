"""Rows that count for more, or less."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from grokdyn.spec.base import field
from grokdyn.spec.rules import Integer, Name, Number, Optional
from grokdyn.tasks.shapes import Conflicts, Shapes
from grokdyn.transforms.base import Batch, Transform, during, needs_feature


class RowWeights(Transform):
    """Multiply the weights of rows whose feature is from ``low`` to ``high``; 0 leaves them out.

    Parts of a task that train are features too, 1 for their rows and 0 for others.
    """

    feature: str = field(Name(), default="label", doc="what the task says of a row, or a part of it")
    low: float = field(Number(), default=1.0, doc="least value of the rows that are meant")
    high: float = field(Number(), default=1.0, doc="largest value of them")
    factor: float = field(Number(0), default=2.0, doc="what multiplies their weights")
    since: int = field(Integer(), default=0, doc="first step with")
    until: int | None = field(Optional(Integer()), default=None, doc="first step without again; nothing: never")

    chooses = True

    def conflicts(self, shapes: Shapes) -> Conflicts:
        return needs_feature(shapes, self.feature)

    def apply(self, batch: Batch, key: jax.Array, step: jax.Array) -> Batch:
        value = batch.features[self.feature].astype(jnp.float64)
        meant = (value >= self.low) & (value <= self.high) & during(step, self.since, self.until)
        return batch._replace(weights=batch.weights * jnp.where(meant, self.factor, 1.0))


class HardRows(Transform):
    """Weigh rows by a power of their present loss: w_i = l_i^power, over their mean.

    The losses are those at the parameters before the update, not differentiated; it takes a forward pass more.
    """

    power: float = field(Number(), default=1.0, doc="0: all alike; above: hard rows count for more")
    since: int = field(Integer(), default=0, doc="first step with")

    reads_losses = True

    def apply(self, batch: Batch, key: jax.Array, step: jax.Array) -> Batch:
        assert batch.losses is not None
        losses = jnp.maximum(batch.losses.astype(jnp.float64), jnp.finfo(jnp.float32).tiny)
        power = jnp.where(step >= self.since, jnp.asarray(self.power, jnp.float64), 0.0)
        # By the largest, so that no power of them is out of range.
        top = jnp.max(jnp.where(batch.weights > 0, losses, 0.0))
        w = batch.weights * (losses / jnp.where(top > 0, top, 1.0)) ** power
        return batch._replace(weights=w * (jnp.sum(batch.weights) / jnp.sum(w)))
