"""Runs that go on from stored states, as they are or after something was done to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grokdyn.engine.host.devices import devices
from grokdyn.engine.host.say import say
from grokdyn.engine.host.scope import scope
from grokdyn.engine.machines.here import CHECKPOINT_SECONDS
from grokdyn.engine.machines.where import Executor, executor
from grokdyn.engine.plan.plan import Plan
from grokdyn.engine.rounds import origin_of
from grokdyn.engine.run import execute
from grokdyn.engine.store import states
from grokdyn.engine.stored import run_number, same_as_ever
from grokdyn.interventions.base import Intervention
from grokdyn.optim.base import AnyOptimizer, Optimizer, inside
from grokdyn.spec import base
from grokdyn.spec.errors import SpecError
from grokdyn.spec.kinds import kind_of
from grokdyn.spec.paths import place_of
from grokdyn.spec.round import Beginning, Following, following
from grokdyn.spec.sweep import Sweep, problems

if TYPE_CHECKING:
    import xarray as xr

ALLOWED = "gd.Prune, gd.Rescale, gd.Reinitialise, gd.Freeze, gd.Forget, or a list of them"


def fork(
    path: str | Path,
    run: int | Mapping[str, Any] | Sequence[int] | None = None,
    step: int | None = None,
    change: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    progress: bool | None = None,
    anyway: bool = False,
    apply: Intervention | Sequence[Intervention] = (),
    rewind: int | None = None,
    cluster: Any = None,
) -> xr.Dataset:
    """Start new runs from stored states: of one run, of some, or of all.

    Args:
        path: a store whose spec has ``snapshots``.
        run: number of the run in the sweep, or its coordinates, e.g. ``{"weight_decay": 1.0, "seed": 0}``; a list of
            numbers, whose results have the dimension ``run``; default: all runs, whose axes stay.
        step: one of the snapshots; default: the last.
        change: dotted path -> a value, or a list of values, which becomes an axis; of all runs a path that the store
            does not sweep. ``"round.step"`` and fields of what is applied, ``"round.prune.keep"``, may be axes too.
        out: folder for a store of its own, whose manifest tells its ``parent``.
        anyway: although versions, device or settings have changed since; another random generator, say, draws other
            train rows.
        apply: what is done to the states, one after the other: ``gd.Prune``, ``gd.Rescale``, ``gd.Reinitialise``,
            ``gd.Freeze``, ``gd.Forget``.
        rewind: a snapshot from which the runs go on instead; those at ``step`` then only decide what is pruned.
        cluster: as in ``run``.

    Returns:
        Dataset of the new runs from that step to the last step. What is not changed goes on with the same bits; another
        ``dtype`` rounds the state to it, or widens it. An optimizer goes on with what another remembers if both make
        the same of it, such as with and without ``SAM`` around; at step 0, or after ``gd.Forget``, none remembers
        anything. Stop rules see the
        records of the new runs alone, so that what they count begins anew. A change without effect, such as of what
        the state was drawn from, is told.

    Raises:
        SpecError: for a mistake in the arguments, or a model or optimizer that cannot go on from the state.
        StoreError: if the folder is not a store or is damaged, keeps no such snapshot, or something has changed.
    """
    path, change = place_of(path), dict(change or {})
    store = Stored.at(path, anyway)
    axes = {name: v for name, v in change.items() if isinstance(v, list | range | np.ndarray)}
    single = {name: value for name, value in change.items() if name not in axes}
    begin = Beginning(of=str(path), step=step, rewind=rewind, apply=interventions(apply))
    found = following(store.sweep, store.first, begin, single, axes, numbers_of(store.sweep, run))
    place = None if out is None else place_of(out, "out")
    with executor(cluster) as trainer:
        return store.start(found, trainer, place, progress, list(single), is_one(run))


@dataclass(frozen=True)
class Stored:
    """A store whose runs others go on from: where, the sweep, the manifest."""

    path: Path
    sweep: Sweep
    known: dict[str, Any]

    @classmethod
    def at(cls, path: Path, anyway: bool = False) -> Stored:
        return cls(path, *same_as_ever(path, anyway, "fork"))

    @property
    def first(self) -> int:
        """The step that its runs began at."""
        return states.read_origin(self.path, self.known).step

    def start(
        self,
        found: Following,
        trainer: Executor,
        out: Path | None,
        progress: bool | None,
        asked: Sequence[str] = (),
        alone: bool = False,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
    ) -> xr.Dataset:
        """Train the runs that follow.

        Args:
            asked: as of ``execute``.
            alone: they all go on from one.
        """
        experiments = list(self.sweep.experiments())
        if found.step > 0 and not any(each.forgets for each in found.beginnings[0].apply):
            check_directions(found.sweep, [experiments[number].optimizer for number in found.parents])
        with scope(self.sweep):
            plan = Plan.stored(self.path, self.sweep, self.known, devices())
            origin = origin_of(self.path, plan, self.known, found)
        if alone and len(found.beginnings) == 1:
            origin = replace(origin, parents=None)
        if any(each.stop for each in found.sweep.experiments()):
            say(f"stop rules count anew: they see what is recorded from step {found.step} on")
        start = states.read_start(self.path, self.known)
        return execute(trainer, found.sweep, out, start, origin, progress, checkpoint_seconds, asked)


def is_one(run: Any) -> bool:
    """Return whether a single run is named, not some or all."""
    return run is not None and (isinstance(run, Mapping) or not isinstance(run, Sequence | np.ndarray))


def numbers_of(sweep: Sweep, run: Any) -> int | list[int] | None:
    """Return the number of the run that is named, or those of some; nothing for all."""
    if run is None:
        return None
    if is_one(run):
        return run_number(sweep, run)
    found = [run_number(sweep, int(each) if isinstance(each, np.integer) else each) for each in run]
    if not found or len(set(found)) < len(found):
        raise SpecError("run", run, "a list of distinct runs, not none")
    return found


def check_directions(new: Sweep, parents: Sequence[AnyOptimizer]) -> None:
    """Raise SpecError where an optimizer cannot go on with what that of its parent remembers."""
    for experiment, parent in zip(new.experiments(), parents, strict=True):
        if directions(experiment.optimizer) != directions(parent):
            allowed = f"one that goes on with what {kind_of(parent)} remembers"
            raise SpecError("optimizer", kind_of(experiment.optimizer), allowed)


def directions(optimizer: AnyOptimizer) -> list[Any]:
    """Return how an optimizer and those inside it find their directions, which is what their states are for."""
    own = [type(optimizer).direction] if isinstance(optimizer, Optimizer) else []
    return own + [found for _, inner in inside(optimizer) for found in directions(inner)]


def interventions(apply: Any) -> tuple[Intervention, ...]:
    """Return what is to be done to the states, checked."""
    given = [apply] if isinstance(apply, Intervention) else apply
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise SpecError("apply", apply, ALLOWED)
    for i, each in enumerate(given):
        if not isinstance(each, Intervention):
            raise SpecError(f"apply[{i}]", each, ALLOWED)
        for name, came, allowed in problems(each):
            raise SpecError(f"apply[{i}].{name}", came, allowed)
    return tuple(base.check(each, f"apply[{i}]") for i, each in enumerate(given))
