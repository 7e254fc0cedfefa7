"""Coordinates that each tell the class, some by a line and others by slabs in turn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.spec.base import field
from grokdyn.spec.rules import Choice, Count, Flag, Number
from grokdyn.tasks.base import Signature, Table, Task
from grokdyn.tasks.signature import Classes, Vectors

MOST_POINTS = 1_000_000
# Number of slabs -> (class, how far from the centre) -> with what probability a row of the class is there. Slabs are
# counted from the centre, where 0 is the one that it lies in; of a line the first is the one on either side.
PLACES: dict[int, dict[tuple[int, int], float]] = {
    3: {(0, 0): 1.0, (1, 1): 1.0},
    5: {(0, 0): 3 / 4, (0, 2): 1 / 4, (1, 1): 1.0},
    7: {(0, 0): 1 / 2, (0, 2): 1 / 2, (1, 1): 7 / 8, (1, 3): 1 / 8},
}
SLABS = {"linear": 2, "3-slab": 3, "5-slab": 5, "7-slab": 7}
KINDS = tuple(SLABS)


class Slabs(Task):
    """Learn a class that every coordinate tells by itself, some more simply than others (Shah et al. 2020).

    Given y, a fair coin, coordinates are independent. k slabs of width w = (2B - 2 (k - 1) g) / k fill -B to B, with
    gaps of 2g between them, and hold the classes in turn; g = ``margin`` B. Within a slab a row is anywhere, on either
    side of 0 by a fair coin. ``linear``: two slabs, x = (2y - 1) (g + (B - g) U). ``3-slab``: class 0 in the middle,
    class 1 next to it. ``5-slab``: class 0 in the middle with probability 3/4, else outermost. ``7-slab``: class 0 in
    the middle or two slabs from it, each 1/2; class 1 next to the middle with 7/8, else outermost.

    The first ``simple_count`` coordinates are of the kind ``simple``, the others of the kind ``others``: the paper's
    LMS-k has one linear and d - 1 k-slabs, MS-(5,7) one 5-slab and d - 1 7-slabs, MS-7 7-slabs alone. A share
    ``corrupted`` of all rows, train and test, each by its own coin, has spoilt linear coordinates: by ``margin`` they
    are uniform in (-g, g), which leaves a line 1 - corrupted / 2 of the rows; by ``sign`` on the other side, which
    leaves it 1 - corrupted. The slabs of these rows stay as they are.

    ``rotated``: an input is W x with one random orthogonal W of the run's own, see ``rotation``. All points are the
    pool. Features of rows for transforms: ``label``.
    """

    dimension: int = field(Count(1, 10_000), default=50, doc="d, number of coordinates")
    points: int = field(Count(2, MOST_POINTS), default=4000, doc="points drawn, train and test together")
    simple: str = field(Choice(KINDS), default="linear", doc="kind of the first coordinates")
    simple_count: int = field(Count(0, 10_000), default=1, doc="how many these are")
    others: str = field(Choice(KINDS), default="5-slab", doc="kind of the others")
    margin: float = field(Number(0, 1 / 6), default=0.1, doc="g / B, half the gap between slabs")
    half_width: float = field(Number(0, open_low=True), default=1.0, doc="B, the largest size of a coordinate")
    corrupted: float = field(Number(0, 1), default=0.0, doc="share of the rows with spoilt linear coordinates")
    corruption: str = field(Choice(("margin", "sign")), default="margin", doc="within the margin, or on the other side")
    rotated: bool = field(Flag(), default=True, doc="by a random orthogonal matrix")

    drawn = True

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if self.train_points is not None and self.train_points > self.points:
            yield "train_points", self.train_points, f"at most points, {self.points}"
        if self.simple_count > self.dimension:
            yield "simple_count", self.simple_count, f"at most dimension, {self.dimension}"
        if self.corrupted > 0 and "linear" not in self.coordinates():
            yield "corrupted", self.corrupted, "0, where no coordinate is linear"

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        yield from super().ignored(steps)
        if self.simple_count == 0:
            yield "simple", "simple_count is 0"
        if self.simple_count == self.dimension:
            yield "others", "simple_count is dimension"
        if self.corrupted == 0:
            yield "corruption", "corrupted is 0"

    def coordinates(self) -> tuple[str, ...]:
        """Return the kind of every coordinate."""
        return (self.simple,) * self.simple_count + (self.others,) * (self.dimension - self.simple_count)

    def signature(self) -> Signature:
        return Signature(Vectors(self.dimension), Classes(2), self.points)

    def rotation(self, key: jax.Array) -> jax.Array | None:
        if not self.rotated:
            return None
        normal = jax.random.normal(jax.random.fold_in(key, 1), (self.dimension, self.dimension), jnp.float64)
        q, r = jnp.linalg.qr(normal)
        return q * jnp.sign(jnp.diag(r))

    def draw(self, key: jax.Array) -> Table:
        label_key, *keys = jax.random.split(jax.random.fold_in(key, 0), 5)
        y = (jax.random.bits(label_key, (self.points,), jnp.uint32) & 1).astype(jnp.int32)
        x = self.rows_of(y, *keys)
        W = self.rotation(key)
        return Table((x if W is None else x @ W.T).astype(jnp.float32), y)

    def rows_of(
        self, y: jax.Array, side_key: jax.Array, slab_key: jax.Array, within_key: jax.Array, spoilt_key: jax.Array
    ) -> jax.Array:
        """Return the coordinates of rows of given classes, before they are rotated, float64 [rows, dimension]."""
        shape = (self.points, self.dimension)
        side = jnp.where((jax.random.bits(side_key, shape, jnp.uint32) & 1) == 1, 1.0, -1.0)
        slab = jax.random.uniform(slab_key, shape, jnp.float64)
        within = jax.random.uniform(within_key, shape, jnp.float64)
        spoilt = jax.random.uniform(spoilt_key, (self.points, 1), jnp.float64) < self.corrupted
        B, g = jnp.asarray(self.half_width, jnp.float64), self.margin * self.half_width
        sign, columns = (2 * y - 1)[:, None].astype(jnp.float64), []
        for kind, own in self.blocks():
            u = within[:, own]
            if kind == "linear":
                sizes = g + (B - g) * u
                inside = g * (2 * u - 1) if self.corruption == "margin" else -sign * sizes
                columns.append(jnp.where(spoilt, inside, sign * sizes))
            else:
                low, width = begins(SLABS[kind], B, g, y[:, None], slab[:, own])
                columns.append(side[:, own] * (low + u * width))
        return jnp.concatenate(columns, axis=1)

    def blocks(self) -> list[tuple[str, slice]]:
        """Return the kinds that there are, with their coordinates."""
        ends = ((self.simple, 0, self.simple_count), (self.others, self.simple_count, self.dimension))
        return [(kind, slice(low, high)) for kind, low, high in ends if high > low]


def begins(slabs: int, B: Any, g: Any, y: jax.Array, drawn: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return where the slab of every row begins, on the side above 0, and its width; of the middle one half of it.

    Args:
        y: classes [rows, 1].
        drawn: uniform on 0 to 1 [rows, coordinates], which decides among the slabs of a class.
    """
    w = (2 * B - 2 * (slabs - 1) * g) / slabs
    place = jnp.zeros(drawn.shape, jnp.float64)
    for label in (0, 1):
        mine = [(at, share) for (of, at), share in PLACES[slabs].items() if of == label]
        bounds = np.cumsum([share for _, share in mine])[:-1]
        chosen = jnp.full(drawn.shape, float(mine[0][0]))
        for bound, (at, _) in zip(bounds, mine[1:], strict=True):
            chosen = jnp.where(drawn >= bound, float(at), chosen)
        place = jnp.where(y == label, chosen, place)
    middle = place == 0
    return jnp.where(middle, 0.0, (place - 0.5) * w + 2 * place * g), jnp.where(middle, 0.5 * w, w)
