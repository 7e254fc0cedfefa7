"""What every task has: a table, a signature, a train fraction, label noise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from grokdyn.spec.base import Spec, field
from grokdyn.spec.rules import Choice, Integer, Number, Optional

# Bits of a share that count; the product with a number of rows is then exact in 64 bits, for up to 1.3e8 rows.
SHARE_BITS = 36
MOST_ROWS = 2**27 - 1


class Signature(NamedTuple):
    """The shapes that a model must fit.

    Attributes:
        vocabulary: number of tokens, class c being token c; 0 where inputs are real vectors.
        width: tokens per row (vocabulary > 0), or length of the input vector.
        outputs: number of logits, or length of the target vector.
        rows: number of rows of the table.
        symbols: how many outputs, the last ones, are never a label of the (first) answer: tokens such as "=".
        regression: whether targets are real vectors in place of classes.
        answers: labels of a row, each a token of its own; logits are then [rows, answers, outputs].
        fixed: for each of a row's places the token that all rows have there, None where they differ; empty if unknown.
    """

    vocabulary: int
    width: int
    outputs: int
    rows: int
    symbols: int = 0
    regression: bool = False
    answers: int = 1
    fixed: tuple[int | None, ...] = ()

    @property
    def classes(self) -> int:
        """Number of labels that there are, of the (first) answer."""
        return self.outputs - self.symbols


class Table(NamedTuple):
    """All rows of a task.

    Attributes:
        inputs: int32 tokens [rows, width], or floats [rows, width].
        labels: int32 classes [rows], without noise, or [rows, answers] where a row has several; for regression the
            targets, floats [rows, outputs].
    """

    inputs: Any
    labels: Any


class Task(Spec):
    """Base of all tasks.

    ``train_points`` rows are train rows, or ``train_fraction`` of all: the whole part of fraction * rows, n where the
    fraction is n / rows. They are the first in an order drawn from the split stream, so that for one seed a smaller
    train set is a subset of a larger one. The rest are test rows. ``label_noise`` of the train rows, the whole part
    again, carry a corrupted label; test labels stay clean. A corrupted real target is that of another row; of several
    answers the first is corrupted.
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

    def train_count(self, rows: int) -> Any:
        """Return the number of train rows among ``rows``, for the numbers of one run (traced) or of many."""
        if self.train_points is None:
            return part_of(self.train_fraction, rows)
        points: Any = self.train_points  # an array, on the host or traced
        return points.astype(np.int32)

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        if self.train_points is not None:
            yield "train_fraction", "train_points is given"
        if self.label_noise == 0:
            yield "noise", "label_noise is 0"

    def signature(self) -> Signature:
        """Return the shapes of the table."""
        raise NotImplementedError

    def table(self) -> Table:
        """Return the table of an enumerated task, as numpy arrays shared by all runs."""
        raise NotImplementedError

    def draw(self, key: jax.Array) -> Table:
        """Return the table of one run of a task whose table is random (``drawn``); traced."""
        raise NotImplementedError


def part_of(share: Any, rows: Any) -> Any:
    """Return the whole part of share * rows for a float64 share, on the host or traced: the same in both.

    The share is rounded to 36 bits, plus one in its favour, and multiplied in whole numbers: a share of n / rows, in
    floats or written with eleven digits, gives n, where the product of floats is n - 1 for 3 to 5 in a hundred n.
    """
    bits = (share * 2.0**SHARE_BITS + 1.5).astype(np.int64)
    return ((bits * rows) >> SHARE_BITS).astype(np.int32)
