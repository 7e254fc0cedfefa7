"""Stored states that runs go on from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# What the rows are called among what a group holds by name.
ROWS = "rows"


@dataclass(frozen=True)
class Group:
    """States of runs that share a structure.

    Attributes:
        runs: their numbers in the store that they come from [states].
        rows: the padding of train rows they were trained with, so that sums run alike.
        states: name of a leaf of ``State`` -> [states, ...].
        moves: tensor -> bool [states, ...], the entries that training moves; nothing where it moves all.
        alive: tensor -> bool [states, ...], those that no round has pruned; nothing where none was.
        stays: ``ROWS`` -> bool [states, rows of the table], those that no round has left out; nothing where none was.
    """

    runs: np.ndarray
    rows: int
    states: Mapping[str, np.ndarray]
    moves: Mapping[str, np.ndarray] = field(default_factory=dict)
    alive: Mapping[str, np.ndarray] = field(default_factory=dict)
    stays: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Origin:
    """The stored states that runs go on from; as it stands here, none: they begin at step 0.

    Attributes:
        step: number of updates they have seen.
        groups: the states.
        parents: for every run the number, in the store they come from, of the one it goes on from [runs]; None where
            all go on from one state.
        note: where they come from, for a manifest.
    """

    step: int = 0
    groups: tuple[Group, ...] = ()
    parents: np.ndarray | None = None
    note: Mapping[str, Any] = field(default_factory=dict)

    def rows(self, runs: np.ndarray) -> int:
        """Return to how many train rows runs have to be padded at least."""
        return max((group.rows for group, _, _ in self.shares(runs)), default=0)

    def states(self, runs: np.ndarray) -> dict[str, np.ndarray]:
        """Return the states of runs of one structure, leaf by leaf [runs, ...]."""
        return self.gathered(runs, "states")

    def moves(self, runs: np.ndarray) -> dict[str, np.ndarray]:
        """Return which entries training moves, tensor by tensor [runs, ...]; nothing where it moves all."""
        return self.gathered(runs, "moves")

    def alive(self, runs: np.ndarray) -> dict[str, np.ndarray]:
        """Return which entries no round has pruned, as ``moves``."""
        return self.gathered(runs, "alive")

    def stays(self, runs: np.ndarray) -> np.ndarray | None:
        """Return which rows no round has left out, bool [runs, rows of the table]; None where none was."""
        return self.gathered(runs, "stays").get(ROWS)

    def gathered(self, runs: np.ndarray, which: str) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = {}
        for group, mine, places in self.shares(runs):
            for name, values in getattr(group, which).items():
                found.setdefault(name, np.ones((len(runs), *values.shape[1:]), values.dtype))[mine] = values[places]
        return found

    def shares(self, runs: np.ndarray) -> list[tuple[Group, np.ndarray, np.ndarray]]:
        """Return the groups that hold states of some runs: which of these, and their places in the group."""
        if self.parents is None:
            return [(group, np.ones(len(runs), bool), np.zeros(len(runs), int)) for group in self.groups]
        wanted, found = self.parents[runs], []
        for group in self.groups:
            order = np.argsort(group.runs, kind="stable")
            places = np.searchsorted(group.runs, wanted, sorter=order)
            places = order[np.minimum(places, len(order) - 1)]
            mine = group.runs[places] == wanted
            if mine.any():
                found.append((group, mine, places[mine]))
        return found
