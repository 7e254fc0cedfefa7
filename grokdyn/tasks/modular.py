"""Modular arithmetic: the table of c = a ∘ b (mod p)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from grokdyn.spec.base import field
from grokdyn.spec.rules import Choice, Count, Function
from grokdyn.tasks.base import Signature, Table, Task


def inverse(b: np.ndarray, p: int) -> np.ndarray:
    return np.asarray([pow(int(x), -1, p) for x in range(1, p)], np.int64)[b - 1]


OPERATIONS: dict[str, Callable[[np.ndarray, np.ndarray, int], np.ndarray]] = {
    "add": lambda a, b, p: a + b,
    "sub": lambda a, b, p: a - b,
    "mul": lambda a, b, p: a * b,
    "div": lambda a, b, p: a * inverse(b, p),
    "x2+y2": lambda a, b, p: a**2 + b**2,
    "x2+xy+y2": lambda a, b, p: a**2 + a * b + b**2,
    "x2+xy+y2+x": lambda a, b, p: a**2 + a * b + b**2 + a,
    "x3+xy": lambda a, b, p: a**3 + a * b,
    "x3+xy2+y": lambda a, b, p: a**3 + a * b**2 + b,
}


class ModularArithmetic(Task):
    """Learn c = a ∘ b (mod p) from part of its table (Power et al. 2022).

    Rows are the pairs (a, b) in lexicographic order: with residues from 0 row a*p + b, with residues from 1
    row (a-1)*(p-1) + (b-1); ``div`` leaves out b = 0, ``symmetric`` keeps a <= b only, and rows are then numbered
    as they come. The inputs are two tokens below p, the label is a residue below p.
    """

    op: str | Callable = field(
        Function(tuple(OPERATIONS), "f(a, b) of two integer arrays"), default="add", doc="the operation; taken mod p"
    )
    p: int = field(Count(2, 2000), default=113, doc="the modulus; prime for div")
    pairs: str = field(Choice(("ordered", "symmetric")), default="ordered", doc="all pairs, or those with a <= b")
    first_residue: int = field(Count(0, 1), default=0, doc="residues from 0, or from 1 (leaves out 0)")

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if self.op == "div" and any(self.p % k == 0 for k in range(2, int(self.p**0.5) + 1)):
            yield "p", self.p, "a prime modulus for op = 'div'"
        if callable(self.op):
            yield from self.problems_of_function()

    def problems_of_function(self) -> Iterator[tuple[str, Any, str]]:
        a, b = self.operands()
        allowed = "a function of two integer arrays that returns whole numbers, one per pair"
        try:
            values = np.asarray(self.op(a, b))  # pyright: ignore[reportCallIssue]
        except Exception as error:  # whatever the user's function raises is told in one line
            yield "op", error, allowed
            return
        if values.shape != a.shape or not np.issubdtype(values.dtype, np.integer):
            yield "op", f"{values.dtype} of shape {values.shape}", allowed

    def operands(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the pairs as two int64 vectors."""
        first = self.first_residue
        a, b = (x.ravel() for x in np.mgrid[first : self.p, first : self.p])
        keep = np.ones_like(a, bool)
        if self.pairs == "symmetric":
            keep &= a <= b
        if self.op == "div":
            keep &= b != 0
        return a[keep], b[keep]

    def signature(self) -> Signature:
        return Signature(self.p, 2, self.p, len(self.operands()[0]))

    def table(self) -> Table:
        a, b = self.operands()
        op = self.op
        values = op(a, b) if callable(op) else OPERATIONS[op](a, b, self.p)
        tokens = np.stack([a, b], axis=1)
        return Table(tokens.astype(np.int32), (np.asarray(values) % self.p).astype(np.int32))
