"""Sweep: a base experiment and the axes along which it varies."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from grokdyn.spec import base, toml
from grokdyn.spec.axes import MOST_RUNS, SPACINGS, Axis, axis_of, coordinate, encoded, flat, of_round
from grokdyn.spec.errors import SpecError, Words
from grokdyn.spec.experiment import Experiment


@dataclass(frozen=True)
class Sweep:
    """The product of axes over a base experiment.

    Args:
        base: what all runs share.
        axes: dotted path -> values, e.g. ``{"optimizer.weight_decay": [0, 1], "seed": range(8)}``. Values may be
            numbers, structure (``"model.hidden": [(64,), (128,)]``) or whole parts (``"loss": [MSE(), ...]``). Paths
            that move together are one axis under a name of its own,
            ``{"alpha": {"zip": {"model.output_scale": [1, 10], "optimizer.learning_rate": [0.1, 0.001]}}}``; afterwards
            they stand here one by one.

    Raises:
        SpecError: for a path that does not exist, an empty or duplicate axis, a value its field refuses.
    """

    base: Experiment
    axes: Mapping[str, Any] = field(default_factory=dict)
    dims: Mapping[str, Axis] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.base, Experiment):
            raise SpecError("experiment", self.base, "an Experiment")
        if not isinstance(self.axes, Mapping):
            raise SpecError("sweep", self.axes, "a table of axes: path = values")
        checked = base.check(self.base)
        dims = {path: axis_of(checked, path, raw) for path, raw in self.axes.items()}
        paths: dict[str, tuple[Any, ...]] = {}
        for axis in dims.values():
            for path, values in zip(axis.paths, axis.columns, strict=True):
                if path in paths:
                    raise SpecError(f"sweep.{path}", Words("two axes of this path"), "each path once")
                paths[path] = values
        object.__setattr__(self, "base", checked)
        object.__setattr__(self, "axes", paths)
        object.__setattr__(self, "dims", dims)
        if self.size > MOST_RUNS:
            raise SpecError("sweep", Words(f"{self.size} runs"), f"at most {MOST_RUNS}")

    @property
    def size(self) -> int:
        return math.prod(axis.size for axis in self.dims.values())

    @property
    def shape(self) -> dict[str, int]:
        """Length of every axis under its dimension name."""
        return {self.dim(name): axis.size for name, axis in self.dims.items()}

    @property
    def names(self) -> dict[str, str]:
        """Name of every path in the results: its last element, or the whole path where two would clash."""
        last = {path: path.rpartition(".")[2] for path in self.axes}
        own = {name for name, axis in self.dims.items() if axis.zipped}
        taken = [*last.values(), "step"]
        taken += [name for name in own if name not in {last[path] for path in self.dims[name].paths}]
        return {path: name if taken.count(name) == 1 else path for path, name in last.items()}

    def dim(self, name: str) -> str:
        """Return the name of an axis's dimension: its path's, or what paths that move together go by."""
        return name if self.dims[name].zipped else self.names[name]

    @property
    def round_paths(self) -> list[str]:
        """The paths that say what runs go on from: only a round can have them."""
        return [path for path in self.axes if of_round(path)]

    @property
    def coordinates(self) -> dict[str, np.ndarray]:
        """Values of every dimension as a coordinate: numbers where they are numbers, labels elsewhere.

        Where paths move together, those of the one that the dimension is named after, else numbers from 0 on.
        """
        found = {}
        for name, axis in self.dims.items():
            columns = {self.names[path]: values for path, values in zip(axis.paths, axis.columns, strict=True)}
            dim = self.dim(name)
            found[dim] = coordinate(columns[dim]) if dim in columns else np.arange(axis.size)
        return found

    @property
    def beside(self) -> dict[str, tuple[str, np.ndarray]]:
        """The other values along every dimension of paths that move together: name -> (dimension, values)."""
        zipped = [(name, axis) for name, axis in self.dims.items() if axis.zipped]
        return {
            self.names[path]: (name, coordinate(values))
            for name, axis in zipped
            for path, values in zip(axis.paths, axis.columns, strict=True)
            if self.names[path] != name
        }

    def points(self) -> Iterator[dict[str, Any]]:
        """Yield the values of all paths of every run, in row-major order of the axes."""
        paths = [path for axis in self.dims.values() for path in axis.paths]
        for rows in itertools.product(*(zip(*axis.columns, strict=True) for axis in self.dims.values())):
            yield dict(zip(paths, itertools.chain.from_iterable(rows), strict=True))

    def experiments(self) -> Iterator[Experiment]:
        """Yield the runs in row-major order of the axes.

        Raises:
            SpecError: if a combination of values breaks a rule between fields.
        """
        order = in_order([path for path in self.axes if not of_round(path)])
        made: list[Experiment] = []  # with the first values set, one more in each
        before: dict[str, Any] = {}
        for point in self.points():
            # What the last run has set in the same way, most of it, is taken from there.
            last = made[-1] if made else None
            other = (i for i, path in enumerate(order) if before.get(path, self) is not point[path])
            del made[next(other, len(order)) :]
            for path in order[len(made) :]:
                made.append(base.put(made[-1] if made else self.base, path, point[path]))
            experiment, before = made[-1] if made else self.base, point
            for name, came, allowed in problems(experiment, last):
                raise SpecError(name, came, allowed)
            yield experiment

    def along(self, base: Experiment) -> Sweep:
        """Return the sweep of another experiment along the same axes."""
        return Sweep(base, {name: axis.given() for name, axis in self.dims.items()})

    def to_toml(self) -> str:
        """Return the sweep as the text of a TOML file."""
        sweep = {}
        for name, axis in self.dims.items():
            columns = zip(axis.paths, axis.columns, strict=True)
            table = {path: [encoded(self.base, path, value) for value in values] for path, values in columns}
            sweep[name] = {"zip": table} if axis.zipped else table[name]
        return toml.dumps({**base.encode(self.base), "sweep": sweep})

    @classmethod
    def from_toml(cls, text: str) -> Sweep:
        """Read a sweep from the text of a TOML file (the inverse of ``to_toml``)."""
        found = decode(toml.loads(text))
        return found if isinstance(found, Sweep) else cls(found, {})


def in_order(paths: list[str]) -> list[str]:
    """Return paths in the order in which they are set: theirs, but a whole part before the numbers inside it."""
    inside = any(path.startswith(f"{whole}.") for i, path in enumerate(paths) for whole in paths[i:])
    return sorted(paths, key=lambda path: path.count(".")) if inside else paths


def problems(spec: Any, known: Any = None, path: str = "") -> Iterator[tuple[str, Any, str]]:
    """Yield the broken rules between fields of a spec and of its parts, with dotted paths.

    Args:
        known: a spec that breaks none; parts that are its own are not looked at again.
    """
    for name, came, allowed in base.broken(spec):
        yield base.join(path, name), came, allowed
    for name in base.rules(type(spec)):
        part, of_known = getattr(spec, name), getattr(known, name, None)
        if isinstance(part, base.Spec) and part is not of_known:
            yield from problems(part, of_known, base.join(path, name))
        elif isinstance(part, tuple) and part is not of_known:
            for i, one in enumerate(part):
                if isinstance(one, base.Spec):
                    yield from problems(one, None, base.join(path, f"{name}[{i}]"))


def decode(raw: Mapping[str, Any]) -> Experiment | Sweep:
    """Build what a file describes: a sweep where it has a ``[sweep]`` table, else one experiment."""
    rest = {key: item for key, item in raw.items() if key != "sweep"}
    experiment = base.decode(Experiment, rest)
    if "sweep" not in raw:
        return experiment
    if not isinstance(raw["sweep"], Mapping):
        raise SpecError("sweep", raw["sweep"], "a table of axes: path = values")
    return Sweep(experiment, flattened(raw["sweep"]))


def flattened(table: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Join nested tables, so that ``[sweep.optimizer] weight_decay = ..`` and a quoted dotted key mean the same."""
    flat = {}
    for key, item in table.items():
        where = base.join(path, str(key))
        if where.count(".") > base.DEEPEST:
            raise SpecError(f"sweep.{where}", Words("tables within tables"), f"at most {base.DEEPEST} levels")
        nested = isinstance(item, Mapping) and not set(item) & {*SPACINGS, "zip"}
        new = flattened(item, where) if nested else {where: item}
        for axis in new.keys() & flat.keys():
            raise SpecError(f"sweep.{axis}", Words("two axes of this path"), "each path once")
        flat |= new
    return flat


def swept_paths(table: Mapping[str, Any]) -> dict[str, str]:
    """Return the paths that a raw table of axes varies, each with the name of its axis."""
    found = {}
    for name, item in flattened(table).items():
        zipped = isinstance(item, Mapping) and isinstance(item.get("zip"), Mapping)
        found |= dict.fromkeys(flat(item["zip"]), name) if zipped else {name: name}
    return found
