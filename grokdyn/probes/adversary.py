"""Accuracy under an adversary that may move inputs a little."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.losses.base import one_hot, pick
from grokdyn.probes.base import Shapes, Variable
from grokdyn.probes.nearby import NearbyProbe, ends
from grokdyn.probes.view import View, largest
from grokdyn.spec.base import field
from grokdyn.spec.numbers import Numbers
from grokdyn.spec.rules import Choice, Count, Number
from grokdyn.tasks.shapes import needs_classes
from grokdyn.tasks.signature import DIVIDED


class AdversarialAccuracy(NearbyProbe):
    """Accuracy under projected gradient descent, ``<part>_adversarial_accuracy`` [budget] (Madry et al. 2018).

    x_0 is drawn from the ball of radius ``budget`` around x, in the largest entry (``linf``: uniform) or the L2 norm
    (``l2``: a uniform direction and radius); then x <- x + a sign(g), or a g / |g|, a = ``step`` budget, g the gradient
    of cross-entropy in x, each time brought back to the ball and to the range of the table's inputs. g is taken of
    log sum_{k != y} exp z_k - z_y, whose gradient has the same direction at all scales of the logits, where that of
    cross-entropy in narrow numbers vanishes with its probabilities. A row counts as right where it is at x itself, at
    the point of a whole step of size ``budget`` from x (Goodfellow et al. 2015), and at all points of the descent, for
    this budget and all smaller ones. Labels of train rows are those trained. Rows come first in the run's own order.
    """

    norm: str = field(Choice(("linf", "l2")), default="linf", doc="the size of a change")
    budgets: tuple[float, ...] = field(Numbers(0), default=(0.03, 0.06, 0.1), doc="largest sizes of a change")
    steps: int = field(Count(1, 10_000), default=10, doc="steps of the descent")
    step: float = field(Number(0, open_low=True), default=0.25, doc="length of one, as a share of the budget")

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        yield from super().conflicts(shapes)
        yield from needs_classes(shapes, "a probe that needs no classes")

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        axis = {"dims": ("budget",), "coordinates": {"budget": np.asarray(self.budgets)}}
        return {
            f"{part}_adversarial_accuracy": Variable(f"{part} accuracy under attack", part=part, **axis)
            for part in DIVIDED
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        found = {}
        for place, part in enumerate(DIVIDED):
            right = self.standing(view, *self.points(view, part), jax.random.fold_in(view.key, place))
            found[f"{part}_adversarial_accuracy"] = jnp.mean(right.astype(jnp.float64), axis=-1)
        return found

    def standing(self, view: View, x: jax.Array, labels: jax.Array, key: jax.Array) -> jax.Array:
        """Return which rows are right under every budget, bool [budget, rows]."""

        def logits(points: jax.Array) -> jax.Array:
            return view.function(view.params, points)

        def at(budget: jax.Array) -> jax.Array:
            met = attacks(logits, x, labels, key, budget, self.norm, self.steps, self.step, ends(view))
            return jnp.all(jax.lax.map(lambda points: largest(logits(points)) == labels, met), axis=0)

        right = jax.lax.map(at, jnp.asarray(self.budgets, x.dtype))
        return jax.lax.associative_scan(jnp.logical_and, right)


def attacks(
    logits: Callable[[jax.Array], jax.Array],
    x: jax.Array,
    labels: jax.Array,
    key: jax.Array,
    budget: Any,
    norm: str,
    steps: int,
    share: Any,
    between: tuple[Any, Any],
) -> jax.Array:
    """Return all points at which the adversary looks [steps + 3, rows, ...].

    x itself, the point of one whole step from it, where the descent begins, and where its steps lead to.
    """
    budget, share = jnp.asarray(budget, x.dtype), jnp.asarray(share, x.dtype)

    def back(points: jax.Array) -> jax.Array:
        """Return points brought back to the ball and the range; x is in both, so that the second leaves the first."""
        return jnp.clip(x + limited(points - x, budget, norm), *between)

    def moved(points: jax.Array, length: jax.Array) -> jax.Array:
        gradient = jax.grad(lambda points: jnp.sum(behind(logits(points), labels)))(points)
        return back(points + length * steepest(gradient, norm))

    def descend(points: jax.Array, _: None) -> tuple[jax.Array, jax.Array]:
        points = moved(points, share * budget)
        return points, points

    begin = back(x + budget * drawn(key, x, norm))
    _, path = jax.lax.scan(descend, begin, length=steps)
    return jnp.concatenate([jnp.stack([x, moved(x, budget), begin]), path])


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
