"""Several modular operations in one table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from grokdyn.spec.base import field
from grokdyn.spec.rules import Choices, Count
from grokdyn.tasks.base import Signature, Table, Task
from grokdyn.tasks.modular import DIVISIONS, OPERATIONS, ModularArithmetic, composite
from grokdyn.tasks.signature import Classes, Tokens


class ModularMixture(Task):
    """Learn several operations mod p at once; a token tells which one a row asks for.

    Rows are the tables of the operations, see ``ModularArithmetic``, one after the other, each written as the tokens
    (a, op, b, =): residues below p, "=" as p, the operations in their order from p + 1 on. The train rows are drawn
    from all rows together. Logits are over the whole vocabulary.
    """

    ops: tuple[str, ...] = field(Choices(tuple(OPERATIONS)), default=("add", "sub"), doc="the operations")
    p: int = field(Count(2, 2000), default=97, doc="the modulus; prime for div, div|sub")

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        divided = [op for op in self.ops if op in DIVISIONS]
        if divided and composite(self.p):
            yield "p", self.p, f"a prime modulus for op = {divided[0]!r}"

    def parts(self) -> list[ModularArithmetic]:
        """Return the task of every operation."""
        return [ModularArithmetic(op=op, p=self.p) for op in self.ops]

    def signature(self) -> Signature:
        symbols = 1 + len(self.ops)
        rows = sum(part.signature().rows for part in self.parts())
        tokens = Tokens(self.p + symbols, 4, fixed=(None, None, None, self.p))
        return Signature(tokens, Classes(self.p + symbols, symbols), rows)

    def table(self) -> Table:
        tokens, labels = [], []
        for number, part in enumerate(self.parts()):
            a, b = part.operands()
            op, equals = np.full_like(a, self.p + 1 + number), np.full_like(a, self.p)
            tokens.append(np.stack([a, op, b, equals], axis=1))
            labels.append(part.labels())
        return Table(np.concatenate(tokens).astype(np.int32), np.concatenate(labels))
