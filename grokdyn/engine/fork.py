"""Runs that go on from stored states, as they are or after something was done to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grokdyn.engine.host.devices import devices
from grokdyn.engine.host.say import say
from grokdyn.engine.host.scope import scope
from grokdyn.engine.machines.where import executor
from grokdyn.engine.plan.plan import Plan
from grokdyn.engine.rounds import round_of
from grokdyn.engine.run import execute
from grokdyn.engine.store import states
from grokdyn.engine.stored import kept, run_number, same_as_ever
from grokdyn.interventions.base import Intervention
from grokdyn.optim.base import AnyOptimizer, Optimizer, inside
from grokdyn.spec import base
from grokdyn.spec.errors import SpecError, Words
from grokdyn.spec.kinds import kind_of
from grokdyn.spec.paths import place_of
from grokdyn.spec.points import RUN
from grokdyn.spec.sweep import Sweep, problems

if TYPE_CHECKING:
    import xarray as xr

ALLOWED = "gd.Prune, gd.Rescale, gd.Reinitialise, gd.Freeze, or a list of them"


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
            does not sweep.
        out: folder for a store of its own, whose manifest tells its ``parent``.
        anyway: although versions, device or settings have changed since; another random generator, say, draws other
            train rows.
        apply: what is done to the states, one after the other: ``gd.Prune``, ``gd.Rescale``, ``gd.Reinitialise``,
            ``gd.Freeze``.
        rewind: a snapshot from which the runs go on instead; those at ``step`` then only decide what is pruned.
        cluster: as in ``run``.

    Returns:
        Dataset of the new runs from that step to the last step. What is not changed goes on with the same bits; another
        ``dtype`` rounds the state to it, or widens it. An optimizer goes on with what another remembers if both make
        the same of it, such as with and without ``SAM`` around; at step 0 none remembers anything. Stop rules see the
        records of the new runs alone, so that what they count begins anew. A change without effect, such as of what
        the state was drawn from, is told.

    Raises:
        SpecError: for a mistake in the arguments, or a model or optimizer that cannot go on from the state.
        StoreError: if the folder is not a store or is damaged, keeps no such snapshot, or something has changed.
    """
    path, change = place_of(path), dict(change or {})
    sweep, known = same_as_ever(path, anyway, "fork")
    before, experiments = states.read_origin(path, known), list(sweep.experiments())
    numbers = run_numbers(sweep, run)
    kept_by_all = sorted(set.intersection(*({*kept(experiments[number], before)} for number in numbers)))
    looked = snapshot_of(kept_by_all, step, "step")
    begin = looked if rewind is None else snapshot_of(kept_by_all, rewind, "rewind")
    axes = {name: v for name, v in change.items() if isinstance(v, list | range | np.ndarray)}
    single = {name: value for name, value in change.items() if name not in axes}
    new, parents = forked(sweep, run, numbers, single, axes)
    if begin > 0:
        check_directions(new, [experiments[number].optimizer for number in parents])
    done = interventions(apply)
    with scope(sweep):
        origin = round_of(path, Plan.stored(path, sweep, known, devices()), known, numbers, looked, begin, done)
    origin = replace(origin, parents=None if is_one(run) else parents)
    if any(experiments[number].stop for number in numbers) or "stop" in change:
        say(f"stop rules count anew: they see what is recorded from step {begin} on")
    place, start = None if out is None else place_of(out, "out"), states.read_start(path, known)
    with executor(cluster) as trainer:
        return execute(trainer, new, place, start, origin, progress, asked=list(single))


def is_one(run: Any) -> bool:
    """Return whether a single run is named, not some or all."""
    return run is not None and (isinstance(run, Mapping) or not isinstance(run, Sequence | np.ndarray))


def run_numbers(sweep: Sweep, run: Any) -> np.ndarray:
    """Return the numbers of the runs that are named."""
    if run is None:
        return np.arange(sweep.size)
    if is_one(run):
        return np.asarray([run_number(sweep, run)])
    found = [run_number(sweep, int(each) if isinstance(each, np.integer) else each) for each in run]
    if not found or len(set(found)) < len(found):
        raise SpecError("run", run, "a list of distinct runs, not none")
    return np.asarray(found)


def snapshot_of(steps: Sequence[int], step: int | None, name: str) -> int:
    """Return a step that all runs have a snapshot of, the last where none is named."""
    if (step is None and not steps) or (step is not None and (isinstance(step, bool) or step not in steps)):
        came = Words("nothing") if step is None else step
        raise SpecError(name, came, "one of the snapshots: " + (", ".join(map(str, steps)) or "none"))
    return steps[-1] if step is None else int(step)


def forked(
    sweep: Sweep, run: Any, numbers: np.ndarray, single: Mapping[str, Any], axes: Mapping[str, Any]
) -> tuple[Sweep, np.ndarray]:
    """Return the sweep of new runs, and for every one the number of the run that it goes on from."""
    if is_one(run):
        parent = next(e for i, e in enumerate(sweep.experiments()) if i == numbers[0])
        new = Sweep(parent.replace(**single), axes)
        return new, np.full(new.size, numbers[0])
    for path in {*single, *axes} & sweep.axes.keys():
        raise SpecError(f"change.{path}", Words("a path that the store sweeps"), "another, or a run of its own to fork")
    changed = sweep.base.replace(**single)
    if run is None:
        own = {name: axis.given() for name, axis in sweep.dims.items()}
    else:
        points = list(sweep.points())
        own = {RUN: {"zip": {path: [points[number][path] for number in numbers] for path in sweep.axes}}}
    new = Sweep(changed, {**own, **axes})
    return new, np.repeat(numbers, new.size // len(numbers))


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


def interventions(apply: Any) -> list[Intervention]:
    """Return what is to be done to the states, checked."""
    given = [apply] if isinstance(apply, Intervention) else apply
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise SpecError("apply", apply, ALLOWED)
    for i, each in enumerate(given):
        if not isinstance(each, Intervention):
            raise SpecError(f"apply[{i}]", each, ALLOWED)
        for name, came, allowed in problems(each):
            raise SpecError(f"apply[{i}].{name}", came, allowed)
    return [base.check(each, f"apply[{i}]") for i, each in enumerate(given)]
