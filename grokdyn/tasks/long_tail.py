"""Many subpopulations, a few of them frequent, each with a label of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.spec.base import field
from grokdyn.spec.rules import Choice, Count, Number
from grokdyn.tasks.base import Signature, Table, Task
from grokdyn.tasks.signature import Classes, Vectors

MOST_POINTS = 1_000_000


class LongTail(Task):
    """Learn the label of every subpopulation of a long-tailed mixture (Feldman 2020, arXiv 1906.05271).

    x = c_j + spread z, z ~ N(0, I), where subpopulation j = 1..N has the frequency p_j proportional to j^-exponent
    (Zipf), a centre c_j and a label y_j, independent and uniform among ``classes``; the label of x is y_j. Every run
    draws its own labels, centres and points from its split stream. Centres are ``gaussian``, N(0, I) in ``dimension``
    coordinates, or ``one_hot``, e_j in N of them: with ``spread = 0`` the unstructured problem of the paper, in which
    no subpopulation tells anything of another.

    All points are the pool: train and test points are independent draws of one mixture, so a subpopulation may be seen
    any number of times. ``tail_error`` records errors by that number; the closed form of what it costs not to fit
    those seen l times is in ``grokdyn.theory.long_tail``.
    """

    subpopulations: int = field(Count(1, 100_000), default=1000, doc="N, number of subpopulations")
    exponent: float = field(Number(0), default=1.0, doc="of the frequencies j^-exponent; 0: all the same")
    classes: int = field(Count(2, 10_000), default=10, doc="number of labels")
    points: int = field(Count(2, MOST_POINTS), default=3000, doc="points drawn, train and test together")
    centres: str = field(Choice(("gaussian", "one_hot")), default="gaussian", doc="how the centres lie")
    dimension: int = field(Count(1, 100_000), default=32, doc="length of a point, where centres are gaussian")
    spread: float = field(Number(0), default=0.1, doc="standard deviation of every entry about its centre")

    drawn = True

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if self.train_points is not None and self.train_points > self.points:
            yield "train_points", self.train_points, f"at most points, {self.points}"

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        yield from super().ignored(steps)
        if self.centres == "one_hot":
            yield "dimension", 'centres is "one_hot"'

    @property
    def width(self) -> int:
        """Length of a point."""
        return self.dimension if self.centres == "gaussian" else self.subpopulations

    def signature(self) -> Signature:
        return Signature(Vectors(self.width), Classes(self.classes), self.points)

    def draw(self, key: jax.Array) -> Table:
        _, label_key, centre_key, noise_key = jax.random.split(key, 4)
        of = self.members(key)
        labels = jax.random.randint(label_key, (self.subpopulations,), 0, self.classes, jnp.int32)
        noise = jax.random.normal(noise_key, (self.points, self.width), jnp.float32)
        if self.centres == "gaussian":
            middle = jax.random.normal(centre_key, (self.subpopulations, self.width), jnp.float32)[of]
        else:
            middle = (of[:, None] == jnp.arange(self.width, dtype=jnp.int32)).astype(jnp.float32)
        return Table(middle + jnp.asarray(self.spread, jnp.float32) * noise, labels[of])

    def members(self, key: jax.Array) -> jax.Array:
        """Return the subpopulation of every point, int32 [points] from 0, the most frequent first.

        Args:
            key: that from which the run's table is drawn.
        """
        which_key = jax.random.split(key, 4)[0]
        ranks = jnp.arange(1, self.subpopulations + 1, dtype=jnp.float64)
        upto = jnp.cumsum(jnp.exp(-jnp.asarray(self.exponent, jnp.float64) * jnp.log(ranks)))
        at = jax.random.uniform(which_key, (self.points,), jnp.float64) * upto[-1]
        # A product that is rounded up to the sum of all is still of the last one.
        return jnp.minimum(jnp.searchsorted(upto, at, side="right"), self.subpopulations - 1).astype(jnp.int32)
