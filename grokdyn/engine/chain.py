"""A round from a file: first what its runs go on from, then its own, each into a store; what is finished is left."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from grokdyn.engine.fork import Stored
from grokdyn.engine.host.devices import devices
from grokdyn.engine.host.scope import scope
from grokdyn.engine.machines.here import CHECKPOINT_SECONDS
from grokdyn.engine.machines.where import executor
from grokdyn.engine.plan.plan import Plan
from grokdyn.engine.rounds import note_of
from grokdyn.engine.run import resume, run
from grokdyn.engine.store.reading import is_finished, read_manifest, read_spec
from grokdyn.spec.axes import of_round
from grokdyn.spec.errors import SpecError, Words
from grokdyn.spec.paths import place_of
from grokdyn.spec.plane import Search
from grokdyn.spec.round import STEP, Beginning, Following, Round, changes, check_no_round, following, paths_of
from grokdyn.spec.sweep import Sweep

if TYPE_CHECKING:
    import xarray as xr

# name, shape
Shape = tuple[tuple[str, tuple[int, ...]], ...]
# What an earlier round of several is called, beside the last one's store.
EARLIER = "{name}-round-{number}"
OTHER = "an empty folder, or the same spec"
# Shapes of a structure's tensors, and how many weights of each are left at most.
Left = Mapping[Shape, Mapping[str, int]]


class Link(NamedTuple):
    """One round of a chain.

    Attributes:
        round: the file's; number: which of its rounds, from 1 on.
        found: what follows from the sweep before.
        left: how many weights are, after it.
    """

    round: Round
    number: int
    found: Following
    left: Left


def run_round(
    round: Round,
    out: str | Path,
    progress: bool | None = None,
    cluster: Any = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> xr.Dataset:
    """Train a round that ``gd.load`` has read, and before it what its runs go on from.

    Everything goes into stores beside each other: that of the round into ``out``, those of the specs before it into
    folders of their names. What is there and finished is left, what is not goes on: after an interruption, within a
    round or between two, the same call goes on from there.

    Args:
        round: from a file with a table ``[round]``.
        out: folder for its store.
        cluster: as in ``run``.
        checkpoint_seconds: as in ``run``.

    Returns:
        Dataset of the new runs, as from ``fork``; of several ``times`` along a first dimension ``round``.

    Raises:
        SpecError: for a mistake in any of the specs, before anything is trained; also where a folder holds results of
            another spec.
        StoreError, Interrupted, ClusterError: as ``run``.
    """
    if not isinstance(round, Round):
        raise SpecError("round", round, "what gd.load reads of a file with a table [round]")
    place = place_of(out, "out")
    links(round)
    return finished(round, place, Training(progress, cluster, checkpoint_seconds))


def sweeps(what: Sweep | Round | Search) -> list[Sweep]:
    """Return the sweeps that a spec trains: its own, or one for each of its rounds; those before it are checked too.

    Of the search for a boundary, which decides as it goes, the whole fine grid.
    """
    if isinstance(what, Search):
        return [what.plane.whole()]
    return [what] if isinstance(what, Sweep) else [link.found.sweep for link in links(what) if link.round is what]


def links(round: Round) -> list[Link]:
    """Return the rounds of a chain in their order, all of them checked.

    Raises:
        SpecError: for a mistake in one.
    """
    made: list[Link] = []
    if isinstance(round.parent, Round):
        made = links(round.parent)
        sweep, first, there = made[-1].found.sweep, made[-1].found.step, made[-1].left
    else:
        sweep, first, there = beginning_of(round.parent)
    for number in range(1, round.begin.times + 1):
        found = followed(round, sweep, first, number)
        there = left(found, there)
        made.append(Link(round, number, found, there))
        sweep, first = found.sweep, found.step
    return made


def beginning_of(parent: Sweep | Path) -> tuple[Sweep, int, Left]:
    """Return the sweep that a chain begins with, its first step, and the weights that there are."""
    if isinstance(parent, Path):
        store = Stored.at(parent)
        sweep, first = store.sweep, store.first
    else:
        sweep, first = parent, 0
        check_no_round(sweep)
    shapes = shapes_of(sweep)
    return sweep, first, {one: {name: math.prod(shape) for name, shape in one} for one in shapes}


def shapes_of(sweep: Sweep) -> set[Shape]:
    """Return the shapes of the tensors of every structure in a sweep, which is checked."""
    with scope(sweep):
        plan = Plan.of(sweep, devices())
    return {tuple((name, tuple(w.shape)) for name, w in c.shapes.params.items()) for c in plan.cohorts}


def followed(round: Round, sweep: Sweep, first: int, number: int) -> Following:
    """Return what follows from a sweep by one of a file's rounds.

    The first makes the changes and looks where it is told; what else its axes vary holds for the later ones too.
    """
    if number == 1:
        return following(sweep, first, round.begin, changes(sweep.base, round.change), round.axes, where="round.")
    paths = [path for name, raw in round.axes.items() for path in paths_of(name, raw) if of_round(path)]
    again = [path for path in paths if path != STEP]
    return following(sweep, first, round.begin.replace(step=None), {}, {}, None, again, "round.")


def left(found: Following, there: Left) -> Left:
    """Return how many weights are left at most, in the runs of whichever beginning leaves fewest.

    Raises:
        SpecError: where something cannot be done to them, or the runs are of another structure.
    """
    for one in shapes_of(found.sweep) - there.keys():
        told = ", ".join(f"{name} {list(shape)}" for name, shape in one)
        raise SpecError("round", Words(f"another structure: {told}"), "the model that the states are stored with")
    made = {}
    for one, sizes in there.items():
        each = [left_by(begin, one, sizes) for begin in found.beginnings]
        made[one] = {name: min(sizes[name] for sizes in each) for name in sizes}
    return made


def left_by(begin: Beginning, shapes: Shape, sizes: Mapping[str, int]) -> Mapping[str, int]:
    for each in begin.apply:
        sizes = each.left(dict(shapes), sizes)
    return sizes


class Training(NamedTuple):
    """How stores are trained: arguments of ``run``."""

    progress: bool | None = None
    cluster: Any = None
    checkpoint_seconds: float = CHECKPOINT_SECONDS


def finished(what: Sweep | Round, place: Path, how: Training) -> xr.Dataset:
    """Return the results of a spec; what its stores hold of them is not trained again.

    Raises:
        SpecError: where a folder holds the results of another spec.
    """
    if isinstance(what, Round):
        return rounds_finished(what, place, how)
    if not is_there(place):
        return run(what, out=place, **how._asdict())
    check_spec(place, what)
    return resume(place, **how._asdict())


def rounds_finished(round: Round, place: Path, how: Training) -> xr.Dataset:
    """Return the results of a file's rounds, each trained from the one before."""
    source, found = place.with_name(round.name), []
    if isinstance(round.parent, Path):
        source = place_of(round.parent)
    else:
        finished(round.parent, source, how)
    for number in range(1, round.begin.times + 1):
        out = earlier(place, number) if number < round.begin.times else place
        found.append(round_finished(round, number, source, out, how))
        source = out
    return found[0] if len(found) == 1 else joined(found)


def earlier(place: Path, number: int) -> Path:
    return place.with_name(EARLIER.format(name=place.name, number=number))


def round_finished(round: Round, number: int, source: Path, out: Path, how: Training) -> xr.Dataset:
    """Return the results of one round that goes on from a store."""
    # What has been trained is read, whatever has changed since; what goes on needs all to be as it was.
    store = Stored(source, read_spec(source), read_manifest(source)) if is_finished(out) else Stored.at(source)
    found = followed(round, store.sweep, store.first, number)
    if not is_there(out):
        asked = list(changes(store.sweep.base, round.change)) if number == 1 else []
        with executor(how.cluster) as trainer:
            return store.start(found, trainer, out, how.progress, asked, checkpoint_seconds=how.checkpoint_seconds)
    check_spec(out, found.sweep)
    told, wanted = read_manifest(out).get("parent", {}), note_of(source, store.known, found)
    if any(told.get(name) != value for name, value in wanted.items() if name != "store"):
        raise SpecError(str(out), Words("the results of another round"), OTHER)
    return resume(out, **how._asdict())


def is_there(place: Path) -> bool:
    return (place / "spec.toml").is_file()


def check_spec(place: Path, sweep: Sweep) -> None:
    """Raise SpecError where a store is that of another spec."""
    if read_spec(place).to_toml() != sweep.to_toml():
        raise SpecError(str(place), Words("the results of another spec"), OTHER)


def joined(found: Sequence[xr.Dataset]) -> xr.Dataset:
    """Return the results of rounds along a first dimension."""
    import xarray as xr

    numbers = xr.Variable(("round",), np.arange(1, len(found) + 1)).to_index_variable()
    made = xr.concat(
        found, numbers, data_vars="all", coords="minimal", compat="override", join="outer", combine_attrs="override"
    )
    return made.assign_attrs(axes=" ".join(["round", found[0].attrs["axes"]]).strip())
