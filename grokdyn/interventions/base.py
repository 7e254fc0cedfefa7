"""The states of runs on their way into a new round, and what may be done to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from grokdyn.spec.base import Spec
from grokdyn.spec.errors import SpecError

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Runs:
    """Runs of one structure between two rounds; all arrays are [runs, ...], by the name of their tensor.

    Attributes:
        params: with which the round begins.
        seen: those that decide, of the step at which the runs were looked at.
        alive: bool, entries that no round has pruned.
        moves: bool, entries that training moves.
        seeds: of the runs' first parameters [runs].
        scores: takes a traced function of ``(program, lane, state, table)`` that returns arrays like the parameters,
            and returns those of every run where it was looked at.
        drawn: takes a number and returns parameters drawn anew.
    """

    params: Arrays
    seen: Arrays
    alive: Arrays
    moves: Arrays
    seeds: np.ndarray
    scores: Callable[[Callable[..., Any]], Arrays]
    drawn: Callable[[int], Arrays]

    @property
    def count(self) -> int:
        return len(self.seeds)


class Intervention(Spec):
    """Base of what is done to stored states before training goes on."""

    def applied(self, runs: Runs) -> Runs:
        """Return the runs with it done to them.

        Raises:
            SpecError: where it cannot be.
        """
        raise NotImplementedError


def chosen(runs: Runs, tensors: Sequence[str], path: str, matrices: bool = True) -> list[str]:
    """Return the tensors that are named; where none is, those of two dimensions and more, or all.

    Raises:
        SpecError: for a tensor that is not there.
    """
    for name in tensors:
        if name not in runs.params:
            raise SpecError(f"{path}.tensors", name, "tensors of the model: " + ", ".join(runs.params))
    return list(tensors) or [name for name, w in runs.params.items() if w.ndim > 2 or not matrices]
