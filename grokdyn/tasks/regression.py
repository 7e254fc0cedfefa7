"""What tasks of real targets on Gaussian inputs have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.spec.base import field
from grokdyn.spec.rules import Count, Flag
from grokdyn.tasks.base import Signature, Table, Task
from grokdyn.tasks.signature import Reals, Vectors

MOST_POINTS = 10_000_000


class GaussianRegression(Task):
    """Base: every run draws, from its split stream, its own inputs x ~ N(0, I/D) and its own targets of them.

    A subclass gives ``rule``, drawn once a run, and ``targets``. Points that do not train, test; with ``fresh`` all of
    them test, and every update draws points of its own for the same rule. Inputs and targets are stored in float32;
    targets are computed in float64 from the stored inputs.
    """

    dimension: int = field(Count(1, 100_000), default=100, doc="D, length of an input")
    points: int = field(Count(2, MOST_POINTS), default=1550, doc="inputs drawn, train and test together")
    fresh: bool = field(
        Flag(), default=False, doc="every update draws batch_size new points; the table only tests", kw_only=True
    )

    drawn = True

    @property
    def endless(self) -> bool:
        """Whether every update draws rows of its own."""
        return self.fresh

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if self.train_points is not None and self.train_points > self.points:
            yield "train_points", self.train_points, f"at most points, {self.points}"

    @property
    def outputs(self) -> int:
        """Length of a target vector."""
        return 1

    def signature(self) -> Signature:
        return Signature(Vectors(self.dimension), Reals(self.outputs), self.points)

    def scaled(self, x: jax.Array) -> jax.Array:
        """Return inputs of unit variance scaled to that of the task."""
        return x / jnp.sqrt(jnp.float64(self.dimension)).astype(x.dtype)

    def draw(self, key: jax.Array) -> Table:
        x_key, y_key = jax.random.split(key)
        x = jax.random.normal(x_key, (self.points, self.dimension), jnp.float64)
        return self.labelled(self.rule(key), y_key, self.scaled(x).astype(jnp.float32))

    def sample(self, rule: Any, key: jax.Array, rows: int) -> Table:
        x_key, y_key = jax.random.split(key)
        x = jax.random.normal(x_key, (rows, self.dimension), jnp.float32)
        return self.labelled(rule, y_key, self.scaled(x))

    def labelled(self, rule: Any, key: jax.Array, x: jax.Array) -> Table:
        """Return stored inputs with their targets."""
        targets = self.targets(rule, key, x.astype(jnp.float64))
        return Table(x, targets.reshape(x.shape[0], -1).astype(jnp.float32))

    def rule(self, key: jax.Array) -> Any:
        """Draw what is to be learned; by default nothing is."""
        return None

    def targets(self, rule: Any, key: jax.Array, x: jax.Array) -> jax.Array:
        """Return the rule's values [points, outputs] or [points] of inputs x, in float64; noise is drawn from the key.

        Args:
            key: for the table the second half of that of ``draw``.
        """
        raise NotImplementedError
