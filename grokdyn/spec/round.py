"""Rounds: runs that go on from those of another spec, or of a store, after something was done to their states."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from grokdyn.spec import base
from grokdyn.spec.axes import ROUND, flat
from grokdyn.spec.base import Spec, field
from grokdyn.spec.errors import SpecError, Words, nearest
from grokdyn.spec.kinds import Part, Parts, Table, kind_of
from grokdyn.spec.points import RUN
from grokdyn.spec.rules import Count, Optional, Rule
from grokdyn.spec.sweep import Sweep

# The path of the axis along which rounds look at different snapshots.
STEP = f"{ROUND}.step"


@dataclass(frozen=True)
class Source(Rule):
    """Where runs go on from: words that only who looks for it can judge."""

    @property
    def allowed(self) -> str:
        return "a spec beside this one, such as 'dense', or the folder of a store"

    def decode(self, value: Any, path: str) -> str:
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            raise SpecError(path, value, self.allowed)
        return value


class Beginning(Spec):
    """The table ``[round]`` of a file: which runs its own go on from, and what is done to their states first.

    The other fields of the file are what changes in the experiment; its ``[sweep]`` has further axes, fields of the
    experiment, ``"round.step"``, or fields of what is applied, such as ``"round.prune.keep"``. ``grokdyn run`` and
    ``reproduce`` train what the runs go on from first, into a store of its own, unless it is there.
    """

    of: str = field(Source(), doc="a spec beside this one (dense, for dense.toml), or the folder of a store")
    step: int | None = field(
        Optional(Count(0)), default=None, doc="the snapshot that interventions look at; nothing: the last"
    )
    rewind: int | None = field(
        Optional(Count(0)), default=None, doc="the snapshot that runs go on from; nothing: the same"
    )
    apply: tuple[Any, ...] = field(
        Parts("intervention", once=False), default=(), doc="what is done to the states, one after the other"
    )
    times: int = field(
        Count(1, 1000), default=1, doc="rounds, each from the ends of the one before, whose last snapshot it looks at"
    )


@dataclass(frozen=True)
class Round:
    """A file with a table ``[round]``.

    Attributes:
        begin: the table.
        parent: what its runs go on from; a path is a store's.
        name: of the parent's store, beside that of the round.
        change: what changes in the experiment, as the file has it.
        axes: further axes, as ``Sweep`` takes them.
    """

    begin: Beginning
    parent: Sweep | Round | Path
    name: str
    change: Mapping[str, Any]
    axes: Mapping[str, Any]


class Following(NamedTuple):
    """What follows from a sweep by a round.

    Attributes:
        sweep: of the new runs.
        parents: for every one the number of the run that it goes on from.
        beginnings: all different ones; which: for every new run the number of its own.
        looked: the snapshot that each beginning looks at; step: the one that all new runs go on from.
    """

    sweep: Sweep
    parents: np.ndarray
    beginnings: tuple[Beginning, ...]
    which: np.ndarray
    looked: tuple[int, ...]
    step: int


def following(
    sweep: Sweep,
    first: int,
    begin: Beginning,
    change: Mapping[str, Any],
    axes: Mapping[str, Any],
    run: int | Sequence[int] | None = None,
    again: Collection[str] = (),
    where: str = "",
) -> Following:
    """Return what follows from a sweep.

    Args:
        first: the step that its own runs begin at, so that they have no snapshots from before.
        run: number of the run to go on from, or of some; default: all.
        again: paths that say what runs go on from, and hold for the new ones too.
        where: before names of fields in messages.

    Raises:
        SpecError: for a step that not all runs keep, a path that the sweep has already, and whatever ``Sweep`` refuses.
    """
    numbers = np.arange(sweep.size) if run is None else np.atleast_1d(np.asarray(run))
    kept = kept_by_all(sweep, numbers, first)
    new, parents = followed(sweep, run, numbers, change, axes)
    own = [path for path in new.round_paths if path in again or path not in sweep.axes]
    beginnings, which = varied_along(new, begin, own)
    for each in beginnings:
        check_fit(each, sweep, where)
    looked = tuple(snapshot_of(kept, each.step, f"{where}step") for each in beginnings)
    if begin.rewind is not None:
        return Following(new, parents, beginnings, which, looked, snapshot_of(kept, begin.rewind, f"{where}rewind"))
    if len(set(looked)) > 1:
        raise SpecError(f"{where}rewind", Words("nothing"), "one snapshot to go on from, where round.step is an axis")
    return Following(new, parents, beginnings, which, looked, looked[0])


def check_fit(begin: Beginning, sweep: Sweep, where: str) -> None:
    """Raise SpecError where something that is applied cannot be done to the runs of a sweep."""
    for i, one in enumerate(begin.apply):
        for name, came, allowed in one.unfit(sweep):
            raise SpecError(f"{where}apply[{i}].{name}", came, allowed)


def kept_by_all(sweep: Sweep, numbers: np.ndarray, first: int) -> list[int]:
    """Return the steps that some runs of a sweep all have snapshots of."""
    wanted = set(numbers.tolist())
    found = [{*e.snapshots} for i, e in enumerate(sweep.experiments()) if i in wanted]
    return sorted(step for step in set.intersection(*found) if step >= first)


def snapshot_of(steps: Sequence[int], step: int | None, name: str) -> int:
    """Return a step that all runs have a snapshot of, the last where none is named."""
    if (step is None and not steps) or (step is not None and (isinstance(step, bool) or step not in steps)):
        came = Words("nothing") if step is None else step
        raise SpecError(name, came, "one of the snapshots: " + (", ".join(map(str, steps)) or "none"))
    return steps[-1] if step is None else int(step)


def followed(
    sweep: Sweep, run: Any, numbers: np.ndarray, change: Mapping[str, Any], axes: Mapping[str, Any]
) -> tuple[Sweep, np.ndarray]:
    """Return the sweep of new runs, and for every one the number of the run that it goes on from."""
    if isinstance(run, int):
        parent = next(e for i, e in enumerate(sweep.experiments()) if i == run)
        new = Sweep(parent.replace(**change), axes)
        return new, np.full(new.size, run)
    for path in {*change, *(p for name, raw in axes.items() for p in paths_of(name, raw))} & sweep.axes.keys():
        raise SpecError(f"change.{path}", Words("a path that the store sweeps"), "another, or a run of its own to fork")
    changed = sweep.base.replace(**change)
    if run is None:
        own = {name: axis.given() for name, axis in sweep.dims.items()}
    else:
        points = list(sweep.points())
        own = {RUN: {"zip": {path: [points[number][path] for number in numbers] for path in sweep.axes}}}
    new = Sweep(changed, {**own, **axes})
    return new, np.repeat(numbers, new.size // len(numbers))


def paths_of(name: str, raw: Any) -> list[str]:
    """Return the paths that an axis varies."""
    zipped = isinstance(raw, Mapping) and isinstance(raw.get("zip"), Mapping)
    return list(flat(raw["zip"])) if zipped else [name]


def varied_along(sweep: Sweep, begin: Beginning, paths: Sequence[str]) -> tuple[tuple[Beginning, ...], np.ndarray]:
    """Return the beginnings that axes make of one, and for every run of the sweep which is its own."""
    if not paths:
        return (begin,), np.zeros(sweep.size, int)
    found: dict[tuple[Any, ...], int] = {}
    made, which = [], np.zeros(sweep.size, int)
    for run, point in enumerate(sweep.points()):
        values = tuple(point[path] for path in paths)
        if values not in found:
            found[values] = len(made)
            one = begin
            for path, value in zip(paths, values, strict=True):
                one = varied(one, path, value)
            made.append(base.check(one, ROUND))
        which[run] = found[values]
    return tuple(made), which


def varied(begin: Beginning, path: str, value: Any) -> Beginning:
    """Return a beginning with another value at a path: ``round.step``, or ``round.prune.keep``.

    Raises:
        SpecError: for a path that does not exist, or a value that its field refuses.
    """
    kind, _, name = path.removeprefix(f"{ROUND}.").rpartition(".")
    if path == STEP:
        return begin.replace(step=Count(0).decode(value, f"sweep.{path}"))
    places = [i for i, each in enumerate(begin.apply) if kind_of(each) == kind]
    if len(places) != 1 or name not in base.rules(type(begin.apply[places[0]])):
        known = dict(paths_told(begin))
        raise SpecError(f"sweep.{path}", Words("a path that does not exist"), ", ".join(known), nearest(path, known))
    one = begin.apply[places[0]]
    one = one.replace(**{name: base.rules(type(one))[name].decode(value, f"sweep.{path}")})
    return begin.replace(apply=(*begin.apply[: places[0]], one, *begin.apply[places[0] + 1 :]))


def paths_told(begin: Beginning) -> Iterator[tuple[str, None]]:
    """Yield the paths along which a beginning may vary: fields of what is applied once."""
    yield STEP, None
    kinds = [kind_of(each) for each in begin.apply]
    for kind, each in zip(kinds, begin.apply, strict=True):
        if kinds.count(kind) == 1:
            yield from ((f"{ROUND}.{kind}.{name}", None) for name in base.rules(type(each)))


def changes(parent: Any, raw: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Return what a raw spec changes in an experiment, by dotted path.

    A table with a ``kind`` is a new part; one without changes fields of the part that is there.
    """
    found: dict[str, Any] = {}
    for key, item in raw.items():
        where = base.join(path, str(key))
        rule = base.find(parent, where)[2]
        inner = isinstance(rule, Table) or (isinstance(rule, Part) and rule.family != "record")
        fields = isinstance(item, Mapping) and "kind" not in item and inner
        found |= changes(parent, item, where) if fields else {where: item}
    return found


def check_no_round(sweep: Sweep) -> None:
    """Raise SpecError for a sweep that can only be a round's."""
    for path in sweep.round_paths:
        raise SpecError(f"sweep.{path}", Words("an axis of a round"), "such axes in a spec with a table [round]")
