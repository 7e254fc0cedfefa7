"""The states of runs on their way into a new round, and what may be done to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from grokdyn.spec.base import Spec
from grokdyn.spec.errors import SpecError
from grokdyn.tasks.shapes import Conflicts

Arrays = Mapping[str, np.ndarray]
# Of the tensors of one run.
Shapes = Mapping[str, tuple[int, ...]]


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
        stays: bool [runs, rows of the table], rows that no round has left out; those that train are among them.
        trains: bool [runs, rows of the table], the rows that train.
        by_row: takes a traced function as ``scores`` does, which returns a number for every row of the table, nan for
            those that do not train, and names of axes; returns the numbers where the runs were looked at [runs, rows],
            each the mean over all stored runs that differ along these axes alone, without nan.
        remembered: whether the optimizer goes on with what it remembers.
    """

    params: Arrays
    seen: Arrays
    alive: Arrays
    moves: Arrays
    seeds: np.ndarray
    scores: Callable[[Callable[..., Any]], Arrays]
    drawn: Callable[[int], Arrays]
    stays: np.ndarray
    trains: np.ndarray
    by_row: Callable[[Callable[..., Any], Sequence[str]], np.ndarray]
    remembered: bool = True

    @property
    def count(self) -> int:
        return len(self.seeds)

    @property
    def shapes(self) -> Shapes:
        return {name: w.shape[1:] for name, w in self.params.items()}


class Intervention(Spec):
    """Base of what is done to stored states before training goes on.

    A subclass is given runs, arrays [runs, ...] by tensor of the step to begin at and of the one that is looked at, and
    returns them with what it changes; ``Prune`` and ``Rescale`` are examples.
    """

    forgets = False  # True where the optimizer remembers nothing afterwards

    def left(self, shapes: Shapes, sizes: Mapping[str, int]) -> Mapping[str, int]:
        """Return how many weights of every tensor it leaves at most, of so many; asked before anything is trained.

        Raises:
            SpecError: where it could not be done, whatever the weights.
        """
        return sizes

    def unfit(self, sweep: Any) -> Conflicts:
        """Yield ``(field, came, allowed)`` where it cannot be done to the runs of a sweep; before they are trained."""
        return iter(())

    def applied(self, runs: Runs) -> Runs:
        """Return the runs with it done to them.

        Raises:
            SpecError: where it cannot be.
        """
        raise NotImplementedError


def chosen(shapes: Shapes, tensors: Sequence[str], path: str, matrices: bool = True) -> list[str]:
    """Return the tensors that are named; where none is, those of two dimensions and more, or all.

    Raises:
        SpecError: for a tensor that is not there.
    """
    for name in tensors:
        if name not in shapes:
            raise SpecError(f"{path}.tensors", name, "tensors of the model: " + ", ".join(shapes))
    return list(tensors) or [name for name, shape in shapes.items() if len(shape) > 1 or not matrices]
