"""Which of the train rows train, and when: a curriculum, a set that grows or shrinks, parts one after another."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.rules import Integer, Name, Names, Number, Optional
from grokdyn.tasks.shapes import Conflicts, Shapes
from grokdyn.transforms.base import Batch, Transform, during, needs_feature


class Curriculum(Transform):
    """Train on rows whose feature is at most ``first`` + ``by`` * (number of times that ``every`` steps have passed).

    Such as strings with few ones before those with many (Abbe et al. 2023).
    """

    feature: str = field(Name(), default="label", doc="what the task says of a row")
    first: float = field(Number(), default=1.0, doc="largest value at the beginning")
    by: float = field(Number(), default=1.0, doc="what is added each time")
    every: int = field(Integer(1), default=1000, doc="steps from one time to the next")

    chooses = True

    def conflicts(self, shapes: Shapes) -> Conflicts:
        return needs_feature(shapes, self.feature)

    def apply(self, batch: Batch, key: jax.Array, step: jax.Array) -> Batch:
        most = self.first + self.by * (step // self.every)
        easy = batch.features[self.feature].astype(jnp.float64) <= most
        return batch._replace(weights=jnp.where(easy, batch.weights, 0.0))


class TrainSize(Transform):
    """Train on the first ``points`` train rows alone, from step ``since`` on and before step ``until``.

    They are the first in the run's own order, so that smaller sets lie within larger ones, as those of
    ``train_points`` do. Two of them make a set that grows or shrinks twice; where they overlap the smaller counts.
    """

    points: int = field(Integer(1), default=100, doc="number of rows that train then")
    since: int = field(Integer(), default=0, doc="first step with so many")
    until: int | None = field(Optional(Integer()), default=None, doc="first step with all again; nothing: never")

    chooses = True

    def conflicts(self, shapes: Shapes) -> Conflicts:
        places = [i for i, one in enumerate(shapes.experiment.transforms) if one is self]
        most, fewest = self.points, shapes.n_train[0]
        if shapes.runs is not None and places:
            most = int(np.max(shapes.runs.transforms[places[0]].points))
        if most > fewest:
            yield "points", most, f"at most the number of train rows, {fewest}"

    def apply(self, batch: Batch, key: jax.Array, step: jax.Array) -> Batch:
        out = during(step, self.since, self.until) & (batch.rank >= self.points)
        return batch._replace(weights=jnp.where(out, 0.0, batch.weights))


class PartSequence(Transform):
    """Train on parts of the task one after another, each for ``every`` steps, the last to the end.

    Parts of before have the share ``replay`` of all weight, spread over them alike; the rows of a part weigh the same.
    With a ``memory`` only so many rows are kept of each part that is over: the first in the run's own order.
    """

    parts: tuple[str, ...] = field(Names(), default=("first", "second"), doc="parts that train, in their order")
    every: int = field(Integer(1), default=1000, doc="steps of each part")
    replay: float = field(Number(0, 1), default=0.0, doc="share of the weight that earlier parts keep")
    memory: int | None = field(
        Optional(Integer(1)), default=None, doc="rows that are kept of each earlier part; nothing: all"
    )

    chooses = True

    def conflicts(self, shapes: Shapes) -> Conflicts:
        if not self.parts:
            yield "parts", Words("none"), "at least one part that trains"
        roles = dict(shapes.signature.parts)
        for name in self.parts:
            if roles.get(name, "test") == "test":
                known = ", ".join(one for one, role in roles.items() if role != "test")
                yield "parts", name, f"parts of the task that train: {known}"

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        if self.memory is not None and self.replay == 0:
            yield "memory", "replay is 0"

    def apply(self, batch: Batch, key: jax.Array, step: jax.Array) -> Batch:
        stage = jnp.minimum(step // self.every, len(self.parts) - 1)
        weights = jnp.zeros_like(batch.weights)
        for place, name in enumerate(self.parts):
            mine = batch.features[name].astype(batch.weights.dtype) * batch.weights
            if self.memory is not None:
                mine = jnp.where((place < stage) & (jnp.cumsum(mine > 0) > self.memory), 0.0, mine)
            old = jnp.where(place < stage, self.replay / jnp.maximum(stage, 1), 0.0)
            now = jnp.where(place == stage, jnp.where(stage > 0, 1 - self.replay, 1.0), old)
            total = jnp.sum(mine)
            weights = weights + mine * (now / jnp.where(total > 0, total, 1.0))
        return batch._replace(weights=weights)
