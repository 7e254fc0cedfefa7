"""The axes of a sweep: values of one path, or of several that move together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from grokdyn.spec import base
from grokdyn.spec.errors import SpecError, Words
from grokdyn.spec.experiment import Experiment
from grokdyn.spec.kinds import kind_of
from grokdyn.spec.rules import Count, Number, Rule
from grokdyn.spec.values import a_list, listed, plain

AXIS = "a list of values, or {linspace = [first, last, n]}, {logspace = [first, last, n]}, {range = [a, b]}"
ZIP = "{zip = {path = values, ...}}, each with as many values"
MOST_RUNS = 10_000_000
# Head of the paths that say what runs go on from, not what they are; ``spec.round`` has their rules.
ROUND = "round"


@dataclass(frozen=True)
class Axis:
    """One dimension of a sweep.

    Attributes:
        paths: what is varied along it; several move together.
        columns: the values of every path, all equally many.
        zipped: whether it was written as one that moves together, even if it is of one path.
    """

    paths: tuple[str, ...]
    columns: tuple[tuple[Any, ...], ...]
    zipped: bool = False

    @property
    def size(self) -> int:
        return len(self.columns[0])

    def given(self) -> Any:
        """Return the axis as ``Sweep`` takes it."""
        return {"zip": dict(zip(self.paths, self.columns, strict=True))} if self.zipped else self.columns[0]


def axis_of(experiment: Experiment, path: str, raw: Any) -> Axis:
    """Return an axis, each value brought to its field's type.

    Raises:
        SpecError: for a path that does not exist, no values, a value twice or one that its field refuses, columns that
            do not go together.
    """
    if not isinstance(path, str):
        raise SpecError("sweep", path, "a path of text, such as 'optimizer.learning_rate'")
    if isinstance(raw, Mapping) and "zip" in raw:
        return zipped(experiment, path, raw)
    return Axis((path,), (unique(column(experiment, path, raw, f"sweep.{path}"), f"sweep.{path}", experiment, path),))


def zipped(experiment: Experiment, name: str, raw: Mapping[str, Any]) -> Axis:
    """Return an axis along which several paths move together."""
    where, table = f"sweep.{name}", raw["zip"]
    if len(raw) > 1 or not isinstance(table, Mapping) or not table:
        raise SpecError(where, dict(raw), ZIP)
    if not name.isidentifier() or name == "step":
        raise SpecError(where, name, "a word of its own as the name of the dimension")
    columns = {path: column(experiment, path, values, f"{where}.zip.{path}") for path, values in flat(table).items()}
    most = max(columns, key=lambda path: len(columns[path]))
    for path, values in columns.items():
        if len(values) < len(columns[most]):
            raise SpecError(
                f"{where}.zip.{path}", Words(f"{len(values)} values"), f"{len(columns[most])}, as of {most}"
            )
    rows = list(zip(*columns.values(), strict=True))
    if len(set(rows)) < len(rows):
        first, seen = 0, set()
        while rows[first] not in seen:
            seen.add(rows[first])
            first += 1
        told = ", ".join(
            f"{path} = {encoded(experiment, path, v)}" for path, v in zip(columns, rows[first], strict=True)
        )
        raise SpecError(where, Words(f"{told} a second time"), "each combination of values once")
    return Axis(tuple(columns), tuple(columns.values()), True)


def flat(table: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Join nested tables of values, so that ``[optimizer] weight_decay = ..`` and a quoted dotted key mean the same."""
    found: dict[str, Any] = {}
    for key, item in table.items():
        where = base.join(path, str(key))
        nested = isinstance(item, Mapping) and not set(item) & set(SPACINGS)
        found |= flat(item, where) if nested else {where: item}
    return found


@dataclass(frozen=True)
class Noted(Rule):
    """A value as a file has it, judged by whom it concerns."""

    @property
    def allowed(self) -> str:
        return "a number, a word, or a list of words"

    def decode(self, value: Any, path: str) -> Any:
        found = listed(plain(value))
        if isinstance(found, list) and all(isinstance(item, str) for item in found):
            return tuple(found)
        if not isinstance(found, int | float | str):
            raise SpecError(path, value, self.allowed)
        return found

    def encode(self, value: Any) -> Any:
        return list(value) if isinstance(value, tuple) else value


def of_round(path: str) -> bool:
    """Return whether a path says what runs go on from, not what they are."""
    return path.startswith(f"{ROUND}.")


def rule_of(experiment: Experiment, path: str) -> Rule:
    """Return the rule that values along an axis obey.

    Raises:
        SpecError: for a path that does not exist.
    """
    return Noted() if of_round(path) else base.find(experiment, path)[2]


def encoded(experiment: Experiment, path: str, value: Any) -> Any:
    """Return a value as a TOML file has it."""
    return rule_of(experiment, path).encode(value)


def column(experiment: Experiment, path: str, raw: Any, where: str) -> tuple[Any, ...]:
    """Return values of a path, each brought to its field's type."""
    rule = rule_of(experiment, path)
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
    return tuple(rule.decode(item, f"{where}[{i}]") for i, item in enumerate(raw))


def unique(values: tuple[Any, ...], where: str, experiment: Experiment, path: str) -> tuple[Any, ...]:
    """Return values, each of which is there once."""
    seen = set()
    for i, value in enumerate(values):
        if value in seen:
            raise SpecError(
                f"{where}[{i}]", Words(f"{encoded(experiment, path, value)} a second time"), "each value once"
            )
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
