"""Four Gaussian clusters, labelled by XOR."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.spec.base import field
from grokdyn.spec.rules import Count, Flag, Number
from grokdyn.tasks.base import Signature, Table, Task
from grokdyn.tasks.signature import Classes, Vectors

MOST_POINTS = 1_000_000


class XorClusters(Task):
    """Learn which of two pairs of opposite clusters a point is of (Xu et al. 2023; Frei et al. 2022).

    x = s mu_c + z, z ~ N(0, I_p), s = +-1 and c uniform, mu_0 and mu_1 of one length along the first two axes; class 1
    where c = 0, class 0 where c = 1. All points are the pool: ``train_points`` of them train, the others test with
    their true label. Flipped labels are ``label_noise`` with ``noise = "wrong"``, in exact number (the paper flips each
    with that probability); accuracies on clean and corrupted train rows are then those of the two parts. The paper has
    p = 40,000, 200 + 200 points, |mu| = 2.5 sqrt(p / 200).

    ``reduced``: points in min(p, points + 2) coordinates. The noise of N points in the other p - 2 dimensions is L Q
    with Q orthonormal rows, independent of the lower trapezoidal L, whose entries are N(0, 1) below the diagonal and
    chi of p - 2 - i degrees on it (Bartlett 1933); a point is then its two numbers along the means and its row of L.
    All products of points and means have the exact law of the full points, and so has all that gradient descent
    makes of a network whose first layer has independent N(0, s^2) weights: logits, products of neurons with points
    and means. Lengths of weights, and optimizers that act on single coordinates, are others.
    """

    dimension: int = field(Count(2, 10_000_000), default=40_000, doc="p, length of a full point")
    points: int = field(Count(2, MOST_POINTS), default=400, doc="points drawn, train and test together")
    mean_norm: float = field(Number(0), default=2.5 * 200**0.5, doc="|mu|, length of the clusters' means")
    reduced: bool = field(Flag(), default=False, doc="as few coordinates as keep the law of all products")

    drawn = True

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if self.train_points is not None and self.train_points > self.points:
            yield "train_points", self.train_points, f"at most points, {self.points}"

    @property
    def width(self) -> int:
        """Length of an input."""
        return min(self.dimension, self.points + 2) if self.reduced else self.dimension

    def signature(self) -> Signature:
        return Signature(Vectors(self.width), Classes(2), self.points)

    def draw(self, key: jax.Array) -> Table:
        which_key, plane_key, noise_key = jax.random.split(key, 3)
        drawn = jax.random.bits(which_key, (2, self.points), jnp.uint32)
        cluster, sign = (drawn & 1).astype(jnp.int32)
        along = jnp.where(sign == 1, 1, -1) * jnp.asarray(self.mean_norm, jnp.float32)
        plane = jax.random.normal(plane_key, (self.points, 2), jnp.float32)
        plane = plane + along[:, None] * (cluster[:, None] == jnp.arange(2, dtype=jnp.int32))
        inputs = jnp.concatenate([plane, self.noise_of(noise_key)], axis=1)
        return Table(inputs.astype(jnp.float32), 1 - cluster)

    def noise_of(self, key: jax.Array) -> jax.Array:
        """Draw the noise beyond the first two coordinates, float32 [points, width - 2]."""
        columns = self.width - 2
        normal_key, diagonal_key = jax.random.split(key)
        noise = jax.random.normal(normal_key, (self.points, columns), jnp.float32)
        if not self.reduced or columns == 0:
            return noise
        degrees = self.dimension - 2 - jnp.arange(columns, dtype=jnp.float64)
        chi = jnp.sqrt(jax.random.chisquare(diagonal_key, degrees, dtype=jnp.float64)).astype(jnp.float32)
        below = jnp.arange(columns) < jnp.arange(self.points)[:, None]
        return (
            jnp.where(below, noise, jnp.zeros((), jnp.float32)) + jnp.eye(self.points, columns, dtype=noise.dtype) * chi
        )
