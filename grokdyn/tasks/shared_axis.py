"""Rows whose losses are curved along one shared axis, or along axes of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from grokdyn.spec.base import field
from grokdyn.spec.rules import Count
from grokdyn.tasks.base import Signature, Table, Task
from grokdyn.tasks.signature import Reals, Vectors


class SharedAxis(Task):
    """Learn 0 from inputs sqrt(n / s) e: s rows share an axis e, each of the n - s others has one of its own.

    Under ``MSE`` a linear function w . x has the losses w . H_i w / 2, H_i = (2 n / s) e e^T: the family for which the
    stability of SGD is exact (Dexter et al. 2024), see ``gd.theory.sgd_stability``. The mean Hessian's largest
    eigenvalue is 2 whatever s, the coherence of the rows' Hessians is s. With ``train_fraction`` = 1 all rows train.
    """

    points: int = field(Count(1, 100_000), default=100, doc="n, rows")
    coherence: int = field(Count(1, 100_000), default=1, doc="s, rows that share the first axis")

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if self.coherence > self.points:
            yield "coherence", self.coherence, f"at most points, {self.points}"

    @property
    def dimension(self) -> int:
        return self.points - self.coherence + 1

    def signature(self) -> Signature:
        return Signature(Vectors(self.dimension), Reals(1), self.points)

    def table(self) -> Table:
        axis = np.maximum(np.arange(self.points) - self.coherence + 1, 0)
        inputs = np.sqrt(self.points / self.coherence) * np.eye(self.dimension)[axis]
        return Table(inputs.astype(np.float32), np.zeros((self.points, 1), np.float32))
