"""Rows moved against the network that trains on them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.rules import Choice, Count, Integer, Number, Optional
from grokdyn.tasks.shapes import Conflicts, Shapes, needs_one_answer
from grokdyn.tasks.signature import Classes
from grokdyn.transforms.attacks import attack, attacked
from grokdyn.transforms.base import Batch, Transform, during, needs_reals


class Adversarial(Transform):
    """Adversarial training: every row is replaced by where projected gradient descent takes it (Madry et al. 2018).

    x_0 is drawn from the ball of radius ``budget`` around x, x <- x + a g / |g| (``l2``) or x + a sign(g) (``linf``),
    a = ``step`` budget, g the gradient of cross-entropy in x at the parameters before the update, each time brought
    back to the ball and to ``low`` .. ``high``; see the probe ``adversarial_accuracy``. The last point is what the
    update descends on, with the row's own target. It takes ``steps`` gradients more, in the inputs; with a budget of 0
    rows are as they were. What follows in the list of transforms acts on the moved rows.
    """

    norm: str = field(Choice(("l2", "linf")), default="l2", doc="the size of a change")
    budget: float = field(Number(0), default=0.1, doc="largest size of a change")
    steps: int = field(Count(1, 1000), default=5, doc="steps of the descent")
    step: float = field(Number(0, open_low=True), default=0.5, doc="length of one, as a share of the budget")
    low: float | None = field(Optional(Number()), default=None, doc="least entry of an input; nothing: any")
    high: float | None = field(Optional(Number()), default=None, doc="largest entry; nothing: any")
    until: int | None = field(Optional(Integer()), default=None, doc="first step without; nothing: never")

    reads_network = True

    @property
    def gradients(self) -> int:
        return self.steps

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if self.low is not None and self.high is not None and self.low >= self.high:
            yield "low", self.low, f"below high, {self.high:g}"

    def conflicts(self, shapes: Shapes) -> Conflicts:
        yield from needs_reals(shapes, "attacks")
        yield from needs_one_answer(shapes, "a transform")
        if not isinstance(shapes.signature.targets, Classes):
            yield "kind", Words("attacks on real targets"), "a task of classes"

    def apply(self, batch: Batch, key: jax.Array, step: jax.Array) -> Batch:
        assert batch.logits is not None, "the engine gives it to what reads the network"
        x = batch.inputs
        between = -math.inf if self.low is None else self.low, math.inf if self.high is None else self.high
        ends = tuple(jnp.asarray(end, x.dtype) for end in between)
        one = attack(batch.logits, x, batch.targets, self.budget, self.norm, self.step, (ends[0], ends[1]))
        return batch._replace(inputs=jnp.where(during(step, 0, self.until), attacked(one, key, self.steps), x))
