"""Eigenvectors of a network's first kernel as targets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.spec.base import field
from grokdyn.spec.rules import Integer, Number
from grokdyn.tasks.regression import GaussianRegression


class KernelEigenvector(GaussianRegression):
    """Learn an eigenvector of the committee machine's kernel at step 0 in the limit of infinite width.

    K(x, x') = x.x' + epsilon^2 (x.x')^2, x ~ N(0, I/D) (Kumar et al. 2024, figure 5). The eigenvector of the
    ``index``-th largest eigenvalue over all points, train and test together, scaled to a mean square of 1.
    """

    index: int = field(Integer(1, 100_000), default=1, doc="place of the eigenvalue, 1 the largest; at most points")
    epsilon: float = field(Number(0), default=0.25, doc="weight of the quadratic part")

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        yield from super().problems()
        if self.index > self.points:
            yield "index", self.index, f"at most points, {self.points}"
        if self.fresh:
            yield "fresh", True, "false: an eigenvector has entries at the points of the table alone"

    def targets(self, rule: None, key: jax.Array, x: jax.Array) -> jax.Array:
        gram = x @ x.T
        _, vectors = jnp.linalg.eigh(gram + self.epsilon**2 * jnp.square(gram))
        vector = jnp.take(vectors, self.points - jnp.asarray(self.index, jnp.int32), axis=1)
        # eigh leaves the sign open: the entry of the first point is made positive.
        return vector * jnp.where(vector[0] < 0, -1, 1) * jnp.sqrt(jnp.float64(self.points))
