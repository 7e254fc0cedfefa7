"""Projected gradient descent in the inputs: the points at which an adversary looks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from grokdyn.losses.base import one_hot, pick


class Attack(NamedTuple):
    """An adversary that may move rows x [rows, ...] within a ball.

    Attributes:
        logits: points [rows, ...] -> logits [rows, outputs].
        targets: classes [rows], or shares of them [rows, outputs].
        budget: radius of the ball; norm: ``"linf"`` or ``"l2"``; share: length of a step as a share of the budget.
        between: least and largest entry of a point; x has none beyond.
    """

    logits: Callable[[jax.Array], jax.Array]
    x: jax.Array
    targets: jax.Array
    budget: jax.Array
    norm: str
    share: jax.Array
    between: tuple[Any, Any]

    def back(self, points: jax.Array) -> jax.Array:
        """Return points brought back to the ball and the range; x is in both, so that the second leaves the first."""
        return jnp.clip(self.x + limited(points - self.x, self.budget, self.norm), *self.between)

    def stepped(self, points: jax.Array) -> jax.Array:
        """Return where a step of the descent leads to."""
        return self.moved(points, self.share * self.budget)

    def moved(self, points: jax.Array, length: jax.Array) -> jax.Array:
        """Return where a step of a length leads to."""
        gradient = jax.grad(lambda points: jnp.sum(rising(self.logits(points), self.targets)))(points)
        return self.back(points + length * steepest(gradient, self.norm))

    def begin(self, key: jax.Array) -> jax.Array:
        """Return random points of the ball."""
        return self.back(self.x + self.budget * drawn(key, self.x, self.norm))


def attack(
    logits: Callable[[jax.Array], jax.Array],
    x: jax.Array,
    targets: jax.Array,
    budget: Any,
    norm: str,
    share: Any,
    between: tuple[Any, Any],
) -> Attack:
    """Return an adversary, its numbers in the dtype of the rows."""
    return Attack(logits, x, targets, jnp.asarray(budget, x.dtype), norm, jnp.asarray(share, x.dtype), between)


def attacks(one: Attack, key: jax.Array, steps: int) -> jax.Array:
    """Return all points at which the adversary looks [steps + 3, rows, ...].

    x itself, the point of one whole step from it, where the descent begins, and where its steps lead to.
    """

    def descend(points: jax.Array, _: None) -> tuple[jax.Array, jax.Array]:
        points = one.stepped(points)
        return points, points

    begin = one.begin(key)
    _, path = jax.lax.scan(descend, begin, length=steps)
    return jnp.concatenate([jnp.stack([one.x, one.moved(one.x, one.budget), begin]), path])


def attacked(one: Attack, key: jax.Array, steps: int) -> jax.Array:
    """Return where so many steps of the descent lead to [rows, ...]."""
    return jax.lax.fori_loop(jnp.int32(0), jnp.int32(steps), lambda _, points: one.stepped(points), one.begin(key))


def rising(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Return what the adversary raises [rows]: cross-entropy for shares of classes, for classes what rises with it."""
    if targets.ndim == 1:
        return behind(logits, targets)
    return -jnp.sum(targets * jax.nn.log_softmax(logits, axis=-1), axis=-1)


def behind(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Return log sum_{k != y} exp z_k - z_y, which rises with cross-entropy [rows]."""
    others = jnp.where(one_hot(labels, logits.shape[-1]), -jnp.inf, logits)
    return jax.nn.logsumexp(others, axis=-1) - pick(logits, labels)


def sizes(change: jax.Array) -> jax.Array:
    """Return the L2 norm of every row, with as many axes as the rows."""
    return jnp.sqrt(jnp.sum(jnp.square(change), axis=tuple(range(1, change.ndim)), keepdims=True))


def unit(change: jax.Array) -> jax.Array:
    """Return every row over its L2 norm; rows of zeros as they are. The largest entry is divided out first."""
    most = jnp.max(jnp.abs(change), axis=tuple(range(1, change.ndim)), keepdims=True)
    scaled = change / jnp.where(most > 0, most, 1)
    return scaled / jnp.where(most > 0, sizes(scaled), 1)


def steepest(gradient: jax.Array, norm: str) -> jax.Array:
    """Return the change of size 1 along which a gradient rises most."""
    return jnp.sign(gradient) if norm == "linf" else unit(gradient)


def limited(change: jax.Array, budget: jax.Array, norm: str) -> jax.Array:
    """Return the nearest change of a size within the budget."""
    if norm == "linf":
        return jnp.clip(change, -budget, budget)
    size = sizes(change)
    return change * jnp.where(size > budget, budget / jnp.where(size > 0, size, 1), 1)


def drawn(key: jax.Array, x: jax.Array, norm: str) -> jax.Array:
    """Return a random change of size at most 1 for every row."""
    if norm == "linf":
        return jax.random.uniform(key, x.shape, x.dtype, -1, 1)
    one, other = jax.random.split(key)
    radius = jax.random.uniform(other, (x.shape[0], *(1,) * (x.ndim - 1)), x.dtype)
    return radius * unit(jax.random.normal(one, x.shape, x.dtype))
