"""A linear rule, and a few rows of large feature that pull against each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.spec.base import field
from grokdyn.spec.rules import Count, Number
from grokdyn.tasks.base import Signature, Table, Task
from grokdyn.tasks.signature import POOL, TRAIN, Reals, Vectors


class OpposingOutliers(Task):
    """Learn y = beta . x_b + even |x_o|, where x_o = 0 but in two opposing groups (Rosenfeld & Risteski 2023).

    An input is (x_b, x_o): x_b ~ N(0, I) in ``dimension`` coordinates, beta a random direction of length ``signal``,
    and one more coordinate x_o, which is + ``size`` in ``outliers`` rows, the part ``positive``, and - ``size`` in as
    many, the part ``negative``; these always train. In all other rows, the pool, x_o = 0. Nothing odd in x_o helps: a
    network that is linear has to keep it out of its output, and whatever weight it has there moves the losses of the
    two groups against each other. Every run draws its own beta and x_b from its split stream.
    """

    dimension: int = field(Count(1, 100_000), default=20, doc="d, coordinates of the rule")
    points: int = field(Count(2, 1_000_000), default=400, doc="rows of the pool, train and test together")
    outliers: int = field(Count(1, 100_000), default=10, doc="rows of each of the two groups")
    signal: float = field(Number(0), default=1.0, doc="|beta|, length of the rule")
    size: float = field(Number(0), default=10.0, doc="|x_o| of an outlier")
    even: float = field(Number(), default=0.05, doc="what of |x_o| the target has")

    drawn = True

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if self.train_points is not None and self.train_points > self.points:
            yield "train_points", self.train_points, f"at most points, {self.points}"

    def signature(self) -> Signature:
        parts = {"bulk": POOL, "positive": TRAIN, "negative": TRAIN}
        rows = self.points + 2 * self.outliers
        return Signature(Vectors(self.dimension + 1), Reals(1), rows, parts=parts)

    def membership(self) -> np.ndarray:
        return np.repeat(["bulk", "positive", "negative"], [self.points, self.outliers, self.outliers])

    def draw(self, key: jax.Array) -> Table:
        rule_key, bulk_key = jax.random.split(key)
        beta = jax.random.normal(rule_key, (self.dimension,), jnp.float64)
        beta = beta * (self.signal / jnp.linalg.norm(beta))
        x = jax.random.normal(bulk_key, (self.points + 2 * self.outliers, self.dimension), jnp.float32)
        sign = np.repeat(np.asarray([0.0, 1.0, -1.0]), [self.points, self.outliers, self.outliers])
        outlying = self.size * sign
        y = x.astype(jnp.float64) @ beta + self.even * jnp.abs(outlying)
        inputs = jnp.concatenate([x, jnp.asarray(outlying, jnp.float32)[:, None]], axis=1)
        return Table(inputs, y.astype(jnp.float32)[:, None])
