"""What tasks of real targets on Gaussian inputs have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.spec.base import field
from grokdyn.spec.rules import Count
from grokdyn.tasks.base import Signature, Table, Task
from grokdyn.tasks.signature import Reals, Vectors

MOST_POINTS = 10_000_000


class GaussianRegression(Task):
    """Base: every run draws, from its split stream, its own inputs x ~ N(0, I/D) and its own targets of them.

    A subclass gives ``targets``. Points that do not train, test. Inputs and targets are stored in float32; targets are
    computed in float64 from the stored inputs.
    """

    dimension: int = field(Count(1, 100_000), default=100, doc="D, length of an input")
    points: int = field(Count(2, MOST_POINTS), default=1550, doc="inputs drawn, train and test together")

    drawn = True

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if self.train_points is not None and self.train_points > self.points:
            yield "train_points", self.train_points, f"at most points, {self.points}"

    @property
    def outputs(self) -> int:
        """Length of a target vector."""
        return 1

    def signature(self) -> Signature:
        return Signature(Vectors(self.dimension), Reals(self.outputs), self.points)

    def draw(self, key: jax.Array) -> Table:
        x_key, y_key = jax.random.split(key)
        x = jax.random.normal(x_key, (self.points, self.dimension), jnp.float64) / jnp.sqrt(jnp.float64(self.dimension))
        x = x.astype(jnp.float32)
        return Table(x, self.targets(y_key, x.astype(jnp.float64)).reshape(self.points, -1).astype(jnp.float32))

    def targets(self, key: jax.Array, x: jax.Array) -> jax.Array:
        """Draw what is to be learned and return its values [points, outputs] or [points], in float64."""
        raise NotImplementedError
