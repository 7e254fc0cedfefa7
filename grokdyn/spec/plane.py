"""The plane of two axes in which a boundary is looked for: a fine grid, each cell with seeds of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from grokdyn.spec.axes import Axis, coordinate
from grokdyn.spec.errors import SpecError, Words, nearest
from grokdyn.spec.experiment import Experiment
from grokdyn.spec.points import points
from grokdyn.spec.rules import Count, Flag, Optional
from grokdyn.spec.sweep import Sweep, decode

SEED = "seed"
FEWEST = 4
TWO = f"two axes of at least {FEWEST} numbers each, such as 'optimizer.weight_decay' = {{logspace = [0.1, 10, 32]}}"
DEFAULT_SEEDS = 4
# The table of a file that asks for a boundary, and its fields.
BOUNDARY, FIELDS = "boundary", ("seeds", "question", "budget", "batch", "whole")


@dataclass(frozen=True)
class Plane:
    """A fine grid over two axes of an experiment.

    Args:
        base: what all runs share.
        axes: two dotted paths (or paths that move together, as in a ``Sweep``) -> values, x first.
        seeds: runs in a cell, each with a seed of its own in the whole plane: cells do not share their chance.

    Attributes:
        names: of both axes in results; values: in rising order; columns: what the paths of an axis have at each.

    Raises:
        SpecError: for an axis that does not exist or is not of numbers, or another number of axes.
    """

    base: Experiment
    axes: Mapping[str, Any]
    seeds: int = DEFAULT_SEEDS
    sweep: Sweep = field(init=False, repr=False)
    names: tuple[str, str] = field(init=False)
    values: tuple[np.ndarray, np.ndarray] = field(init=False, repr=False)
    columns: tuple[dict[str, list[Any]], dict[str, list[Any]]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        sweep = Sweep(self.base, self.axes)
        if SEED in sweep.axes:
            allowed = f"no axis of seeds: every cell has seeds of its own, {FIELDS[0]} tells how many"
            raise SpecError(f"sweep.{SEED}", Words("an axis"), allowed)
        if len(sweep.dims) != 2:
            raise SpecError("axes", Words(", ".join(sweep.dims) or "none"), TWO)
        found = [numbers(name, axis) for name, axis in sweep.dims.items()]
        firsts = [axis.paths[0] for axis in sweep.dims.values()]
        object.__setattr__(self, "seeds", Count(high=10_000).decode(self.seeds, "seeds"))
        object.__setattr__(self, "sweep", sweep)
        object.__setattr__(self, "names", tuple(sweep.names[path] for path in firsts))
        object.__setattr__(self, "values", tuple(np.sort(each) for each in found))
        orders = zip(sweep.dims.values(), map(np.argsort, found), strict=True)
        object.__setattr__(self, "columns", tuple(ordered(axis, order) for axis, order in orders))

    @property
    def size(self) -> tuple[int, int]:
        """How many values both axes have."""
        return len(self.values[0]), len(self.values[1])

    @property
    def full(self) -> int:
        """Runs of the whole fine grid."""
        return self.size[0] * self.size[1] * self.seeds

    def seed(self, i: int, j: int, repeat: int, k: int) -> int:
        """Return the seed of the k-th run of a cell in its (repeat + 1)-th set: no two runs of the plane share one."""
        return self.base.seed + repeat * self.full + (i * self.size[1] + j) * self.seeds + k

    def points(self, wanted: Iterable[tuple[int, int, int]]) -> list[dict[str, Any]]:
        """Return the runs of cells, given as (i, j, repeat): which set of seeds."""
        found = []
        for i, j, repeat in wanted:
            at = [{path: column[n] for path, column in c.items()} for c, n in zip(self.columns, (i, j), strict=True)]
            found += [{**at[0], **at[1], SEED: self.seed(i, j, repeat, k)} for k in range(self.seeds)]
        return found

    def runs(self, wanted: Iterable[tuple[int, int, int]]) -> Sweep:
        """Return the sweep of the runs of cells."""
        return points(self.sweep.base, self.points(wanted))

    def whole(self) -> Sweep:
        """Return the sweep of the fine grid, every cell with its first set of seeds."""
        return self.runs((i, j, 0) for i in range(self.size[0]) for j in range(self.size[1]))

    def holds(self, sweep: Sweep) -> bool:
        """Tell whether all runs of a sweep are some of this plane."""
        paths = {*self.columns[0], *self.columns[1], SEED}
        if set(sweep.axes) != paths or sweep.base.to_toml() != self.sweep.base.to_toml():
            return False
        places = [{row: n for n, row in enumerate(zip(*c.values(), strict=True))} for c in self.columns]
        for point in sweep.points():
            i, j = (at.get(tuple(point[path] for path in c), -1) for at, c in zip(places, self.columns, strict=True))
            ahead = point[SEED] - self.seed(i, j, 0, 0)
            if min(i, j, ahead) < 0 or ahead % self.full >= self.seeds:
                return False
        return True


def numbers(name: str, axis: Axis) -> np.ndarray:
    """Return the values of the first path of an axis.

    Raises:
        SpecError: if they are no numbers, or too few.
    """
    found = coordinate(axis.columns[0])
    if found.dtype.kind not in "if" or len(set(found.tolist())) < FEWEST:
        raise SpecError(f"sweep.{name}", Words(f"{len(found)} values: {', '.join(map(str, found[:4]))}, ..."), TWO)
    if len(set(found.tolist())) < len(found):
        raise SpecError(f"sweep.{name}", Words(f"values of {axis.paths[0]} that repeat"), "each once")
    return found


def ordered(axis: Axis, order: np.ndarray) -> dict[str, list[Any]]:
    return {path: [values[n] for n in order] for path, values in zip(axis.paths, axis.columns, strict=True)}


@dataclass(frozen=True)
class Search:
    """What a boundary search is given: a plane, a question, and at most how many runs, in rounds of how many.

    Attributes:
        whole: begin with all cells of the fine grid, to compare with.
    """

    plane: Plane
    question: str
    budget: int | None = None
    batch: int | None = None
    whole: bool = False

    def __post_init__(self) -> None:
        for name in ("budget", "batch"):
            object.__setattr__(self, name, Optional(Count()).decode(getattr(self, name), name))
        Flag().decode(self.whole, "whole")


def search(raw: Mapping[str, Any]) -> Search:
    """Return the search that a raw spec with a table ``[boundary]`` describes; its axes are those of ``[sweep]``.

    Of an axis of seeds there the length is how many a cell has, unless the table tells that.

    Raises:
        SpecError: without a question or axes, or for a field that there is not.
    """
    table = raw[BOUNDARY]
    if not isinstance(table, Mapping):
        raise SpecError(BOUNDARY, table, f"a table of {', '.join(FIELDS)}")
    for name in table:
        if name not in FIELDS:
            raise SpecError(f"{BOUNDARY}.{name}", table[name], f"one of {', '.join(FIELDS)}", nearest(name, FIELDS))
    if not isinstance(table.get("question"), str):
        allowed = "what is asked of every run, such as 'test_accuracy >= 0.9'"
        raise SpecError(f"{BOUNDARY}.question", table.get("question", Words("nothing")), allowed)
    found = decode({key: item for key, item in raw.items() if key != BOUNDARY})
    axes = dict(found.dims) if isinstance(found, Sweep) else {}
    listed = axes.pop(SEED, None)  # how many there are counts; every cell has its own
    seeds = table.get("seeds", DEFAULT_SEEDS if listed is None else listed.size)
    base = found.base if isinstance(found, Sweep) else found
    plane = Plane(base, {name: axis.given() for name, axis in axes.items()}, seeds)
    return Search(plane, table["question"], table.get("budget"), table.get("batch"), table.get("whole", False))
