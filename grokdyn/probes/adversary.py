"""Accuracy under an adversary that may move inputs a little."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.probes.base import Shapes, Variable
from grokdyn.probes.nearby import NearbyProbe, ends
from grokdyn.probes.view import View, largest
from grokdyn.spec.base import field
from grokdyn.spec.numbers import Numbers
from grokdyn.spec.rules import Choice, Count, Number
from grokdyn.tasks.shapes import needs_classes
from grokdyn.transforms.attacks import attack, attacks


class AdversarialAccuracy(NearbyProbe):
    """Accuracy under projected gradient descent, ``<part>_adversarial_accuracy`` [budget] (Madry et al. 2018).

    x_0 is drawn from the ball of radius ``budget`` around x, in the largest entry (``linf``: uniform) or the L2 norm
    (``l2``: a uniform direction and radius); then x <- x + a sign(g), or a g / |g|, a = ``step`` budget, g the gradient
    of cross-entropy in x, each time brought back to the ball and to the range of the table's inputs. g is taken of
    log sum_{k != y} exp z_k - z_y, whose gradient has the same direction at all scales of the logits, where that of
    cross-entropy in narrow numbers vanishes with its probabilities. A row counts as right where it is at x itself, at
    the point of a whole step of size ``budget`` from x (Goodfellow et al. 2015), and at all points of the descent, for
    this budget and all smaller ones. Labels of train rows are those trained.
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
            for part in self.parts
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        found = {}
        for place, part in enumerate(self.parts):
            right = self.standing(view, *self.points(view, part), jax.random.fold_in(view.key, place))
            found[f"{part}_adversarial_accuracy"] = jnp.mean(right.astype(jnp.float64), axis=-1)
        return found

    def standing(self, view: View, x: jax.Array, labels: jax.Array, key: jax.Array) -> jax.Array:
        """Return which rows are right under every budget, bool [budget, rows]."""

        def logits(points: jax.Array) -> jax.Array:
            return view.function(view.params, points)

        between = ends(view)  # here, as what is made within the map is gone after it

        def at(budget: jax.Array) -> jax.Array:
            one = attack(logits, x, labels, budget, self.norm, self.step, between)
            met = attacks(one, key, self.steps)
            return jnp.all(jax.lax.map(lambda points: largest(logits(points)) == labels, met), axis=0)

        right = jax.lax.map(at, jnp.asarray(self.budgets, x.dtype))
        return jax.lax.associative_scan(jnp.logical_and, right)
