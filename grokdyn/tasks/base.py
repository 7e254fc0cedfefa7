"""What every task has: a table, a signature, a train fraction, label noise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.spec.base import Spec, field
from grokdyn.spec.errors import Missing, SpecError
from grokdyn.spec.rules import Choice, Integer, Number, Optional
from grokdyn.tasks.signature import Signature as Signature

# Bits of a share that count; the product with a number of rows is then exact in 64 bits, for up to 1.3e8 rows.
SHARE_BITS = 36
MOST_ROWS = 2**27 - 1


class Table(NamedTuple):
    """All rows of a task.

    Attributes:
        inputs: int32 tokens [rows, width], or floats [rows, width] or [rows, height, width, channels].
        labels: int32 classes [rows], without noise, or [rows, answers] where a row has several; where targets are
            real, floats [rows, outputs].
    """

    inputs: Any
    labels: Any


class Task(Spec):
    """Base of all tasks.

    ``train_points`` rows of the pool are train rows, or ``train_fraction`` of them: the whole part of fraction * rows,
    n where the fraction is n / rows. They are the first in an order drawn from the split stream, so that for one seed
    a smaller train set is a subset of a larger one. The rest of the pool are test rows. The pool is the whole table
    unless ``signature`` names parts; rows of other parts always train, or only test. ``label_noise`` of the train
    rows, the whole part again, carry a corrupted label; test labels stay clean. A corrupted real target is that of
    another row; of several answers the first that is asked for is corrupted.
    """

    train_fraction: float = field(
        Number(0, 1, open_low=True), default=0.5, doc="share of the rows used for training", kw_only=True
    )
    label_noise: float = field(
        Number(0, 1), default=0.0, doc="share of the train rows with a corrupted label", kw_only=True
    )
    noise: str = field(
        Choice(("uniform", "wrong")),
        default="uniform",
        doc="a corrupted label: any class (or row's target), or any but the row's own",
        kw_only=True,
    )
    train_points: int | None = field(
        Optional(Integer(1, MOST_ROWS)),
        default=None,
        doc="number of train rows; none: train_fraction of all",
        kw_only=True,
    )

    drawn = False  # True where the table itself is random and every run draws its own
    # True where every update draws rows of its own (``sample``) and the table only tests, its pool and other parts.
    endless = False

    def train_count(self, rows: int) -> Any:
        """Return the number of train rows among the pool's, for the numbers of one run (traced) or of many."""
        if self.train_points is None:
            return part_of(self.train_fraction, rows)
        points: Any = self.train_points  # an array, on the host or traced
        return points.astype(np.int32)

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        if self.endless:
            yield from ((name, "every update draws rows of its own") for name in ("train_fraction", "train_points"))
        elif self.train_points is not None:
            yield "train_fraction", "train_points is given"
        if self.label_noise == 0:
            yield "noise", "label_noise is 0"

    def signature(self) -> Signature:
        """Return the shapes of the table and the parts of its rows."""
        raise NotImplementedError

    def membership(self) -> np.ndarray:
        """Return the name of every row's part [rows], of structure alone; asked for where the signature names several.

        Raises:
            SpecError: where a task names several parts and does not say which row is in which.
        """
        path = f"{type(self).__name__}.membership"
        raise SpecError(path, Missing(), "the part of every row [rows], where the signature names several")

    def features(self, inputs: jax.Array, labels: jax.Array) -> dict[str, jax.Array]:
        """Return numbers by name of every row [rows], of the row alone, that transforms choose and weigh rows by.

        By default the class, ``label``; traced.
        """
        whole = jnp.issubdtype(labels.dtype, jnp.integer) and labels.ndim == 1
        return {"label": labels} if whole else {}

    def rotation(self, key: jax.Array) -> jax.Array | None:
        """Return the orthogonal matrix W [width, width] of a task whose inputs are W x, its coordinates x; else None.

        Args:
            key: that of ``draw``; traced.
        """
        return None

    def conflicts(self, shapes: Any) -> Any:
        """Yield ``(field, came, allowed)`` where the task does not fit the rest of an experiment, see ``Shapes``."""
        return iter(())

    def table(self) -> Table:
        """Return the table of an enumerated task, as numpy arrays shared by all runs."""
        raise NotImplementedError

    def draw(self, key: jax.Array) -> Table:
        """Return the table of one run of a task whose table is random (``drawn``); traced."""
        raise NotImplementedError

    def rule(self, key: jax.Array) -> Any:
        """Return what a run of an ``endless`` task learns and never changes, such as its teacher's weights; traced.

        Args:
            key: that of ``draw``, so that the table tests the very rule; an enumerated task needs none.
        """
        return None

    def sample(self, rule: Any, key: jax.Array, rows: int) -> Table:
        """Return so many rows that no update saw before, independent of all others, for an ``endless`` task; traced."""
        raise NotImplementedError


def part_of(share: Any, rows: Any) -> Any:
    """Return the whole part of share * rows for a float64 share, on the host or traced: the same in both.

    The share is rounded to 36 bits, plus one in its favour, and multiplied in whole numbers: a share of n / rows, in
    floats or written with eleven digits, gives n, where the product of floats is n - 1 for 3 to 5 in a hundred n.
    """
    bits = (share * 2.0**SHARE_BITS + 1.5).astype(np.int64)
    return ((bits * rows) >> SHARE_BITS).astype(np.int32)
