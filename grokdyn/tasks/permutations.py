"""The symmetric group: composition of permutations."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from grokdyn.spec.base import field
from grokdyn.spec.rules import Choice, Count
from grokdyn.tasks.base import Signature, Table, Task
from grokdyn.tasks.sequence import SEQUENCES, signature_of, written


def product(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return x first, then y: i -> y[x[i]], for permutations [..., n]."""
    return np.take_along_axis(y, x, axis=-1)


def inverse(x: np.ndarray) -> np.ndarray:
    return np.argsort(x, axis=-1)


OPERATIONS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "x*y": product,
    "x*y*x^-1": lambda x, y: product(product(x, y), inverse(x)),
    "x*y*x": lambda x, y: product(product(x, y), x),
}


class SymmetricGroup(Task):
    """Learn a product in the group of permutations of n things, 14400 rows at n = 5 (Power et al. 2022).

    Elements are numbered in lexicographic order, the identity first; x*y applies x, then y. Row x*n! + y is the pair
    (x, y), the label is the number of the result.
    """

    n: int = field(Count(2, 6), default=5, doc="things that are permuted")
    op: str = field(Choice(tuple(OPERATIONS)), default="x*y", doc="the operation")
    sequence: str = field(Choice(SEQUENCES), default="a b", doc="how a row is written in tokens")

    def elements(self) -> np.ndarray:
        """Return all permutations [n!, n] in lexicographic order."""
        return np.asarray(list(itertools.permutations(range(self.n))))

    def signature(self) -> Signature:
        elements = len(self.elements())
        return signature_of(self.sequence, elements, elements**2)

    def table(self) -> Table:
        elements = self.elements()
        x, y = (number.ravel() for number in np.indices((len(elements), len(elements))))
        results = OPERATIONS[self.op](elements[x], elements[y])
        # Read as digits, lexicographic order is that of numbers.
        digits = self.n ** np.arange(self.n - 1, -1, -1)
        labels = np.searchsorted(elements @ digits, results @ digits)
        return written(self.sequence, len(elements), x, y, labels)
