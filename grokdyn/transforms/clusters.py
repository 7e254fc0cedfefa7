"""Rows that the network is slow to learn, told apart by their losses."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.spec.base import field
from grokdyn.spec.rules import Integer, Number, Optional
from grokdyn.tasks.shapes import Conflicts, Shapes, needs_classes, needs_one_answer
from grokdyn.transforms.base import Batch, Transform, during


class SlowCluster(Transform):
    """Multiply the weights of the rows of each class whose present loss is in the upper of two clusters.

    The clusters are those of least squares within both, in one dimension: two-means, exactly. As USEFUL clusters the
    outputs of every class and counts those of larger loss twice (Nguyen et al. 2024), but at every update anew, among
    the rows of this update, and without a fresh start. A class whose rows all have the same loss has no upper cluster.
    The losses are those at the parameters before the update, not differentiated; it takes a forward pass more.
    """

    factor: float = field(Number(0), default=2.0, doc="what multiplies the weights of the upper cluster")
    since: int = field(Integer(), default=0, doc="first step with")
    until: int | None = field(Optional(Integer()), default=None, doc="first step without again; nothing: never")

    reads_losses = True

    def conflicts(self, shapes: Shapes) -> Conflicts:
        yield from needs_one_answer(shapes, "a transform")
        yield from needs_classes(shapes, "a transform that needs no classes")

    def apply(self, batch: Batch, key: jax.Array, step: jax.Array) -> Batch:
        assert batch.losses is not None
        label = batch.targets if batch.targets.ndim == 1 else jnp.argmax(batch.targets, axis=-1)
        losses, counted = batch.losses.astype(jnp.float64), batch.weights > 0
        cuts = jax.vmap(lambda k: cut(losses, counted & (label == k)))(jnp.arange(batch.outputs, dtype=label.dtype))
        slow = counted & (losses > cuts[label]) & during(step, self.since, self.until)
        return batch._replace(weights=batch.weights * jnp.where(slow, self.factor, 1.0))


def cut(values: jax.Array, members: jax.Array) -> Any:
    """Return the largest value of the lower of the two clusters of the marked values [n]; inf of fewer than two.

    Of n values in order the first j are the lower one where S_j^2 / j + (S - S_j)^2 / (n - j) is largest, S_j their
    sum and S that of all.
    """
    n = jnp.sum(members)
    order = jnp.sort(jnp.where(members, values, jnp.inf))
    j = jnp.arange(1, len(values) + 1)
    inside = j < n
    # About the mean, so that what is compared is not small beside it.
    rest = jnp.where(j <= n, order - jnp.sum(jnp.where(members, values, 0)) / jnp.maximum(n, 1), 0)
    lower = jnp.cumsum(rest)
    between = jnp.square(lower) / j + jnp.square(lower) / jnp.where(inside, n - j, 1)
    best = jnp.argmax(jnp.where(inside, between, -jnp.inf))
    return jnp.where(n > 1, order[best], jnp.inf)
