"""The sign of a few among many coordinates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.spec.base import field
from grokdyn.spec.rules import Count
from grokdyn.tasks.base import Signature, Table, Task
from grokdyn.tasks.signature import Classes, Vectors


class SparseSign(Task):
    """Learn the sign of x_1 + ... + x_k for x uniform on {-1, 1}^d, k odd (Lyu et al. 2024, sparse linear teacher).

    Every run draws its own rows from its split stream. The margin of k coordinates is large in the l1 norm of weights
    and small in the l2 norm, so that few rows suffice for the one bias and not for the other.
    """

    dimension: int = field(Count(1, 1_000_000), default=400, doc="d, length of an input")
    points: int = field(Count(2, 10_000_000), default=1000, doc="inputs drawn, train and test together")
    active: int = field(Count(1, 1_000_000), default=3, doc="k, odd: coordinates that count")

    drawn = True

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if self.active % 2 == 0 or self.active > self.dimension:
            yield "active", self.active, f"an odd number up to the dimension, {self.dimension}"

    def signature(self) -> Signature:
        return Signature(Vectors(self.dimension), Classes(2), self.points)

    def draw(self, key: jax.Array) -> Table:
        bits = jax.random.bits(key, (self.points, self.dimension), jnp.uint8) & 1
        x = 2 * bits.astype(jnp.float32) - 1
        return Table(x, (jnp.sum(x[:, : self.active], axis=1) > 0).astype(jnp.int32))
