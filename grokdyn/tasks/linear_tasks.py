"""Linear teachers that are more or less alike, as tasks learned one after another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.spec.base import field
from grokdyn.spec.rules import Count, Counts, Number
from grokdyn.tasks.base import Signature, Table, Task
from grokdyn.tasks.modes import orthonormal
from grokdyn.tasks.parts import ORDINALS, UNSEEN
from grokdyn.tasks.signature import Reals, Vectors


class LinearTasks(Task):
    """Learn y = w_k . x + e, x ~ N(0, I), e ~ N(0, noise_std^2), in parts ``first``, ``second``, ... (Lin et al. 2023).

    Train them with ``part_sequence``. Teachers have length 1 and w_j . w_k = ``similarity`` for j != k; every run draws
    their directions, uniformly, and all rows from its split stream. The part ``first_unseen``, ... has an input
    sqrt(D) e_i for every coordinate i, without noise: its mean squared error is |w - w_k|^2, the error over all inputs.
    ``theory.continual`` has its mean over runs of a linear student at all steps.
    """

    dimension: int = field(Count(2, 10_000), default=60, doc="D, length of an input")
    rows: int = field(Count(1, 100_000), default=20, doc="rows of each task that train")
    order: tuple[int, ...] = field(
        Counts(1, len(ORDINALS)),
        default=(1, 2),
        doc="the teacher of every task; one that comes back has new rows",
    )
    similarity: float = field(Number(-1, 1), default=0.0, doc="cosine between any two teachers")
    noise_std: float = field(Number(0), default=0.0, doc="standard deviation of the noise on every train target")

    drawn = True

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if len(self.order) > len(ORDINALS):
            yield "order", list(self.order), f"at most {len(ORDINALS)} tasks"
        elif self.teachers > self.dimension:
            yield "dimension", self.dimension, f"at least {self.teachers}, the number of teachers"
        elif self.teachers > 1 and self.similarity < -1 / (self.teachers - 1):
            yield "similarity", self.similarity, f"from {-1 / (self.teachers - 1):g} on, for {self.teachers} teachers"

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        for name, why in super().ignored(steps):
            if name != "train_fraction":
                yield name, why
        yield from ((name, "parts always train or only test") for name in ("train_fraction", "train_points"))
        if self.teachers == 1:
            yield "similarity", "there is one teacher"

    @property
    def teachers(self) -> int:
        """How many different teachers there are."""
        return max(self.order)

    @property
    def names(self) -> tuple[str, ...]:
        """The parts that train, in their order."""
        return ORDINALS[: len(self.order)]

    def signature(self) -> Signature:
        parts = {**dict.fromkeys(self.names, "train"), **{name + UNSEEN: "test" for name in self.names}}
        each = self.rows + self.dimension
        return Signature(Vectors(self.dimension), Reals(1), len(self.order) * each, parts)

    def membership(self) -> np.ndarray:
        names = [name + end for name in self.names for end in ("", UNSEEN)]
        return np.repeat(names, [self.rows, self.dimension] * len(self.order))

    def draw(self, key: jax.Array) -> Table:
        w_key, x_key, e_key = jax.random.split(key, 3)
        shape = (len(self.order), self.rows)
        W = self.all_teachers(w_key)[jnp.asarray(self.order) - 1]
        x = jax.random.normal(x_key, (*shape, self.dimension), jnp.float64)
        y = jnp.einsum("trd,td->tr", x, W) + self.noise_std * jax.random.normal(e_key, shape, jnp.float64)
        root = jnp.float64(self.dimension) ** 0.5
        unseen = jnp.broadcast_to(root * jnp.eye(self.dimension), (shape[0], self.dimension, self.dimension))
        inputs = jnp.concatenate([x, unseen], axis=1).reshape(-1, self.dimension)
        targets = jnp.concatenate([y, root * W], axis=1).reshape(-1, 1)
        return Table(inputs.astype(jnp.float32), targets.astype(jnp.float32))

    def all_teachers(self, key: jax.Array) -> jax.Array:
        """Return the teachers [teachers, D], rows of the root of their Gram matrix in a random frame."""
        K, rho = self.teachers, jnp.asarray(self.similarity, jnp.float64)
        alike = jnp.full((K, K), 1 / K, jnp.float64)
        # The Gram matrix (1 - rho) I + rho 11^T has 1 + (K - 1) rho along 1, and 1 - rho elsewhere.
        along, across = (jnp.sqrt(jnp.maximum(0.0, one)) for one in (1 + (K - 1) * rho, 1 - rho))
        root = across * (jnp.eye(K, dtype=jnp.float64) - alike) + along * alike
        return root @ orthonormal(key, self.dimension, K).T
