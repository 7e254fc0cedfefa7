"""Probes that look at a fixed number of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.kernel.ntk import MOST_BYTES
from grokdyn.probes.base import Probe, Shapes
from grokdyn.probes.view import View
from grokdyn.spec.base import field
from grokdyn.spec.rules import Count, Name, Optional
from grokdyn.tasks.parts import parts_of
from grokdyn.tasks.signature import POOL, TRAIN, Signature, Tokens

# Matrices [rows, rows] in float64 that are alive while a kernel or Gram matrix is measured.
ALIVE = 4
# Rows that are looked at where no number is given and there are so many.
USUAL = 64


class SubsetProbe(Probe):
    """Base: probes of some rows, the same at every step of a run.

    ``part``: of the ``table``, or of a part that the task names, rows evenly spaced, the same for all runs of an
    enumerated task; of the ``train`` or ``test`` rows that the train fraction divides, those that come first in the
    run's own order. Where every update draws rows of its own, there are only the table's, and all of them test.
    Without a number of ``rows`` it is 64, or all that every run has where they are fewer.
    """

    # A number from ``settled`` on, hence in all that a probe is asked.
    rows: int = field(Optional(Count(2, 100_000)), default=None, doc="how many; none: 64, or all where there are fewer")
    part: str = field(Name(), default="table", doc="which rows they are taken from: table, train, test or another part")

    def settled(self, shapes: Shapes) -> Any:
        return self if self.rows is not None else self.replace(rows=usual_rows(shapes, (self.part,), USUAL, 2))

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        yield from super().conflicts(shapes)
        yield from rows_misfit(shapes, self.part, self.rows)

    def index(self, view: View) -> jax.Array:
        """Return the rows' places in the table, int32 [rows]."""
        return places_of(view, self.part, self.rows)

    def inputs(self, view: View) -> jax.Array:
        """Return the rows' inputs [rows, width]."""
        return jnp.asarray(view.inputs)[self.index(view)]


def rows_misfit(shapes: Shapes, part: str, rows: int) -> Iterator[tuple[str, Any, str]]:
    """Yield the conflict of a probe that asks for rows of a part, where they are not there in every run."""
    if shapes.experiment.task.endless and part == "train":
        yield "part", "train", "table or test, where every update draws rows of its own"
        return
    counts = rows_there(shapes)
    if part not in counts:
        yield "part", part, "one of " + ", ".join(counts)
    elif rows > counts[part]:
        where = "the table" if part == "table" else f"the {part} rows of every run"
        yield "rows", rows, f"at most {counts[part]}, all of {where}"


def rows_there(shapes: Shapes) -> dict[str, int]:
    """Return how many rows there are at least, of the table, of train and test, and of every other part."""
    parts = parts_of(shapes.experiment.task)
    fewest, most = (0, 0) if shapes.experiment.task.endless else shapes.n_train
    pool = len(parts.rows(POOL)) + len(parts.rows(TRAIN))
    counts = {"table": shapes.signature.rows, "train": fewest, "test": pool - most}
    return counts | {name: int(parts.mask(name).sum()) for name in parts.names if name in parts.roles}


def usual_rows(shapes: Shapes, parts: Sequence[str], most: int, least: int) -> int:
    """Return how many rows of each part are looked at where no number is given; parts may be unknown."""
    counts = rows_there(shapes)
    return max(least, min(most, *(counts.get(part, most) for part in parts)))


def places_of(view: View, part: str, rows: int) -> jax.Array:
    """Return the places in the table of so many rows of a part, see ``SubsetProbe``, int32 [rows]."""
    parts = parts_of(view.experiment.task)
    if part == "table" or part in parts.roles:
        of = np.arange(len(parts.member)) if part == "table" else np.flatnonzero(parts.mask(part))
        return jnp.asarray(of[np.arange(rows) * len(of) // rows], jnp.int32)
    start = jnp.int32(0) if part == "train" else view.split.n_train
    return jax.lax.dynamic_slice_in_dim(view.split.order, start, rows)


def input_shape(signature: Signature, rows: int) -> jax.ShapeDtypeStruct:
    """Return the shape and dtype of some rows' inputs."""
    dtype = jnp.int32 if isinstance(signature.inputs, Tokens) else jnp.float32
    return jax.ShapeDtypeStruct((rows, *signature.inputs.shape), dtype)


def too_large(rows: int, making: float, what: str) -> Iterator[tuple[str, Any, str]]:
    """Yield the conflict of a probe whose matrix [rows, rows] takes more memory than it may.

    Args:
        making: bytes that it takes to compute the matrix; measuring it comes on top.
    """
    needed = making + 8 * ALIVE * rows**2
    if needed > MOST_BYTES:
        yield "rows", rows, f"fewer: {what} {needed / 2**30:.3g} GiB, at most {MOST_BYTES >> 30}"
