"""Sweep: a base experiment and the axes along which it varies."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from grokdyn.spec import base, toml
from grokdyn.spec.errors import SpecError, Words
from grokdyn.spec.experiment import Experiment
from grokdyn.spec.kinds import kind_of
from grokdyn.spec.rules import Count, Number
from grokdyn.spec.values import a_list, listed, plain

AXIS = "a list of values, or {linspace = [first, last, n]}, {logspace = [first, last, n]}, {range = [a, b]}"
MOST_RUNS = 10_000_000


@dataclass(frozen=True)
class Sweep:
    """The product of axes over a base experiment.

    Args:
        base: what all runs share.
        axes: dotted path -> values, e.g. ``{"optimizer.weight_decay": [0, 1], "seed": range(8)}``. Values may be
            numbers, structure (``"model.hidden": [(64,), (128,)]``) or whole parts (``"loss": [MSE(), ...]``).

    Raises:
        SpecError: for a path that does not exist, an empty or duplicate axis, a value its field refuses.
    """

    base: Experiment
    axes: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.base, Experiment):
            raise SpecError("experiment", self.base, "an Experiment")
        if not isinstance(self.axes, Mapping):
            raise SpecError("sweep", self.axes, "a table of axes: path = values")
        checked = base.check(self.base)
        object.__setattr__(self, "base", checked)
        object.__setattr__(self, "axes", {path: axis(checked, path, raw) for path, raw in self.axes.items()})
        if self.size > MOST_RUNS:
            raise SpecError("sweep", Words(f"{self.size} runs"), f"at most {MOST_RUNS}")

    @property
    def size(self) -> int:
        return math.prod(len(values) for values in self.axes.values())

    @property
    def shape(self) -> dict[str, int]:
        """Length of every axis under its dimension name."""
        return {self.names[path]: len(values) for path, values in self.axes.items()}

    @property
    def names(self) -> dict[str, str]:
        """Dimension name of every axis: the last path element, or the whole path where two would clash."""
        last = {path: path.rpartition(".")[2] for path in self.axes}
        taken = [*last.values(), "step"]
        return {path: name if taken.count(name) == 1 else path for path, name in last.items()}

    @property
    def coordinates(self) -> dict[str, np.ndarray]:
        """Values of every axis as a coordinate: numbers where they are numbers, labels elsewhere."""
        return {self.names[path]: coordinate(values) for path, values in self.axes.items()}

    def experiments(self) -> Iterator[Experiment]:
        """Yield the runs in row-major order of the axes.

        Raises:
            SpecError: if a combination of values breaks a rule between fields.
        """
        # A shorter path is set first: a whole part before the numbers inside it.
        order = sorted(self.axes, key=lambda path: path.count("."))
        for values in itertools.product(*self.axes.values()):
            point = dict(zip(self.axes, values, strict=True))
            experiment = self.base
            for path in order:
                experiment = base.put(experiment, path, point[path])
            for name, came, allowed in problems(experiment):
                raise SpecError(name, came, allowed)
            yield experiment

    def to_toml(self) -> str:
        """Return the sweep as the text of a TOML file."""
        axes = {path: [base.find(self.base, path)[2].encode(v) for v in values] for path, values in self.axes.items()}
        return toml.dumps({**base.encode(self.base), "sweep": axes})

    @classmethod
    def from_toml(cls, text: str) -> Sweep:
        """Read a sweep from the text of a TOML file (the inverse of ``to_toml``)."""
        found = decode(toml.loads(text))
        return found if isinstance(found, Sweep) else cls(found, {})


def problems(spec: Any, path: str = "") -> Iterator[tuple[str, Any, str]]:
    """Yield the broken rules between fields of a spec and of its parts, with dotted paths."""
    for name, came, allowed in base.broken(spec):
        yield base.join(path, name), came, allowed
    for name in base.rules(type(spec)):
        part = getattr(spec, name)
        if isinstance(part, base.Spec):
            yield from problems(part, base.join(path, name))


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
        nested = isinstance(item, Mapping) and not set(item) & set(SPACINGS)
        new = flattened(item, where) if nested else {where: item}
        for axis in new.keys() & flat.keys():
            raise SpecError(f"sweep.{axis}", Words("two axes of this path"), "each path once")
        flat |= new
    return flat


def axis(experiment: Experiment, path: str, raw: Any) -> tuple[Any, ...]:
    """Return the values of an axis, each brought to its field's type."""
    where = f"sweep.{path}"
    if not isinstance(path, str):
        raise SpecError("sweep", path, "a path of text, such as 'optimizer.learning_rate'")
    rule = base.find(experiment, path)[2]
    if isinstance(raw, Mapping):
        raw = spaced(raw, where)
    if isinstance(raw, set | frozenset) and all(isinstance(value, int | float) for value in map(plain, raw)):
        raw = sorted(raw)  # numbers along an axis have an order of their own
    given, raw = raw, raw if isinstance(raw, range) else listed(raw)
    if isinstance(raw, str) or not isinstance(raw, Sequence):
        raise SpecError(where, given, AXIS, a_list(given))
    if not len(raw):
        raise SpecError(where, raw, "at least one value")
    if len(raw) > MOST_RUNS:
        raise SpecError(where, Words(f"{len(raw)} values"), f"at most {MOST_RUNS}")
    values = tuple(rule.decode(item, f"{where}[{i}]") for i, item in enumerate(raw))
    seen = set()
    for i, value in enumerate(values):
        if value in seen:
            raise SpecError(f"{where}[{i}]", Words(f"{rule.encode(value)} a second time"), "each value once")
        seen.add(value)
    return values


SPACINGS = {"linspace": np.linspace, "logspace": np.geomspace, "range": np.arange}


def spaced(raw: Mapping[str, Any], where: str) -> Sequence[Any]:
    """Return the values of ``{linspace = [..]}``, ``{logspace = [..]}`` or ``{range = [a, b]}``."""
    if len(raw) != 1 or not set(raw) <= set(SPACINGS):
        raise SpecError(where, dict(raw), AXIS)
    ((kind, numbers),) = raw.items()
    length = (2, 3) if kind == "range" else (3,)
    if not isinstance(numbers, Sequence) or isinstance(numbers, str) or len(numbers) not in length:
        raise SpecError(f"{where}.{kind}", numbers, AXIS)
    if kind == "range":
        whole = Count(low=-MOST_RUNS * 1000, high=MOST_RUNS * 1000)
        first, last, *step = (whole.decode(item, f"{where}.range[{i}]") for i, item in enumerate(numbers))
        if step == [0]:
            raise SpecError(f"{where}.range[2]", 0, "a step that is not zero")
        return range(first, last, *step)
    ends = Number(low=0, open_low=True) if kind == "logspace" else Number()
    first, last = (ends.decode(item, f"{where}.{kind}[{i}]") for i, item in enumerate(numbers[:2]))
    count = Count(high=MOST_RUNS).decode(numbers[2], f"{where}.{kind}[2]")
    # Twelve digits are kept, so that .1, .2, ... come out as a user writes them.
    with np.errstate(all="ignore"):  # ends too far apart for a float: the field's rule refuses what comes of it
        return [float(f"{value:.12g}") for value in SPACINGS[kind](first, last, count)]


def coordinate(values: Sequence[Any]) -> np.ndarray:
    """Return an axis as an array that a Dataset can hold: floats, integers, booleans, or text labels."""
    if all(isinstance(value, bool) for value in values):
        return np.asarray(values, bool)
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return np.asarray(values, np.int64)
    if all(isinstance(value, int | float) for value in values):
        return np.asarray(values, np.float64)
    labels = [label(value) for value in values]
    if len(set(labels)) < len(labels):
        labels = [label(value, long=True) for value in values]
    if len(set(labels)) < len(labels):  # two nameless functions, say
        labels = [f"{text} {i}" for i, text in enumerate(labels)]
    return np.asarray(labels)


def label(value: Any, long: bool = False) -> str:
    """Return a short name for a value that is not a number."""
    if isinstance(value, base.Spec):
        kind = kind_of(value)
        given = base.encode(value)
        known = {
            name: rule.encode(d)
            for name, rule in base.rules(type(value)).items()
            if (d := base.defaults(type(value)).get(name)) is not None
        }
        told = ", ".join(f"{name}={item}" for name, item in given.items() if known.get(name) != item)
        return f"{kind}({told})" if long and told else kind
    if isinstance(value, tuple):
        return "-".join(label(item, long) for item in value)
    return "none" if value is None else getattr(value, "__name__", str(value))
