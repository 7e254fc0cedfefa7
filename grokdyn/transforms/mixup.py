"""Rows mixed with others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.losses.base import one_hot
from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.rules import Choice, Flag, Integer, Number, Optional
from grokdyn.tasks.shapes import Conflicts, Shapes
from grokdyn.transforms.base import Batch, Transform, during, needs_reals


class Mixup(Transform):
    """Mixup (Zhang et al. 2018): x = l x_i + (1 - l) x_j, y = l y_i + (1 - l) y_j, l ~ Beta(alpha, alpha).

    j is a random permutation of the rows of the update, within the class of i where ``same_class``; l is one number
    for all rows of an update, or one for each; or ``share`` itself. ``label_share`` is the l of targets where it is
    not that of inputs (Zou et al. 2023). From step ``until`` on rows are clean (l = 1). Classes become shares.
    """

    alpha: float = field(Number(0, open_low=True), default=1.0, doc="of the Beta distribution of l")
    per: str = field(Choice(("batch", "row")), default="batch", doc="what has an l of its own")
    same_class: bool = field(Flag(), default=False, doc="mix rows of the same class alone")
    until: int | None = field(Optional(Integer()), default=None, doc="first step without; nothing: never")
    share: float | None = field(Optional(Number(0, 1)), default=None, doc="l itself; nothing: drawn")
    label_share: float | None = field(Optional(Number(0, 1)), default=None, doc="l of targets; nothing: that of inputs")

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        if self.share is not None:
            yield from ((name, "share is given") for name in ("alpha", "per"))

    def conflicts(self, shapes: Shapes) -> Conflicts:
        yield from needs_reals(shapes, "mixup")
        classes = type(shapes.signature.targets).__name__ == "Classes"
        if shapes.signature.answers > 1:
            yield "kind", Words(f"mixup of rows with {shapes.signature.answers} answers"), "a task of one answer a row"
        if classes and not shapes.experiment.loss.takes_shares:
            yield "kind", Words("mixup"), "a loss that takes shares of classes: cross_entropy, stablemax or mse"
        if self.same_class and not classes:
            yield "same_class", True, "false for real targets"

    def apply(self, batch: Batch, key: jax.Array, step: jax.Array) -> Batch:
        share_key, pair_key = jax.random.split(key)
        l = self.shares(batch, share_key, step)
        of_targets = l if self.label_share is None else self.before(step, self.label_share, l)
        partner = partners(batch, pair_key, self.same_class)
        targets = batch.targets
        if targets.ndim == 1:
            targets = one_hot(targets, batch.outputs).astype(l.dtype)
        return batch._replace(inputs=mixed(batch.inputs, partner, l), targets=mixed(targets, partner, of_targets))

    def shares(self, batch: Batch, key: jax.Array, step: jax.Array) -> jax.Array:
        """Draw l [rows], in the dtype of the weights."""
        if self.share is not None:
            return self.before(step, self.share, batch.weights)
        n = () if self.per == "batch" else batch.weights.shape
        alpha = jnp.asarray(self.alpha, jnp.float64)
        l = jax.random.beta(key, alpha, alpha, n, jnp.float64)
        return self.before(step, l, batch.weights)

    def before(self, step: jax.Array, l: Any, like: jax.Array) -> jax.Array:
        """Return l for every row until mixup ends, 1 from then on, float64 in the shape of another array [rows]."""
        l = jnp.asarray(l, jnp.float64)
        return jnp.broadcast_to(jnp.where(during(step, 0, self.until), l, 1.0), like.shape)


def mixed(values: jax.Array, partner: jax.Array, l: jax.Array) -> jax.Array:
    """Return l v_i + (1 - l) v_j row by row, in the dtype of the values."""
    l = l.reshape(-1, *[1] * (values.ndim - 1)).astype(values.dtype)
    return l * values + (1 - l) * values[partner]


def partners(batch: Batch, key: jax.Array, same_class: bool) -> jax.Array:
    """Return for every row the place of the one it is mixed with: a random permutation of the real rows.

    Within classes it is a random cycle through each of them.
    """
    n = batch.real.shape[0]
    scores = jnp.where(batch.real, jax.random.uniform(key, (n,), jnp.float32), 2.0)
    order = jnp.argsort(scores).astype(jnp.int32)
    if not same_class:
        return order
    label = batch.targets if batch.targets.ndim == 1 else jnp.argmax(batch.targets, axis=-1)
    label = jnp.where(batch.real, label, batch.outputs)
    order = order[jnp.argsort(label[order], stable=True)]
    ranked = label[order]
    first = jnp.searchsorted(ranked, ranked, side="left")
    last = jnp.searchsorted(ranked, ranked, side="right") - 1
    places = jnp.arange(n)
    following = order[jnp.where(places == last, first, places + 1)]
    return jnp.zeros(n, jnp.int32).at[order].set(following)
