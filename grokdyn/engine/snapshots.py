"""Stored states: kept at chosen steps, probed later, and run on from with other numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grokdyn.engine.host.devices import devices
from grokdyn.engine.host.say import say
from grokdyn.engine.host.scope import scope
from grokdyn.engine.loop.batch import Batch, Shared
from grokdyn.engine.machines.where import Here
from grokdyn.engine.plan.plan import Plan, Planned
from grokdyn.engine.run import execute
from grokdyn.engine.store import folder, pieces, reading
from grokdyn.engine.store.files import StoreError
from grokdyn.engine.store.manifest import check_same, described
from grokdyn.engine.store.results import Part, dataset
from grokdyn.optim.base import AnyOptimizer, Optimizer, inside
from grokdyn.spec.base import put
from grokdyn.spec.errors import SpecError, Words
from grokdyn.spec.experiment import Experiment
from grokdyn.spec.kinds import Parts, kind_of
from grokdyn.spec.paths import place_of
from grokdyn.spec.record import At
from grokdyn.spec.sweep import Sweep
from grokdyn.train.start import Origin

if TYPE_CHECKING:
    import xarray as xr


def probe(path: str | Path, add: Sequence[Any], anyway: bool = False) -> xr.Dataset:
    """Measure probes on the snapshots of a store, without training.

    Args:
        path: a store whose spec has ``snapshots``.
        add: probes, or their names.
        anyway: although versions, device or settings have changed since; another random generator, say, draws other
            train rows.

    Returns:
        Dataset with dims (swept axes..., step, probe axes...), ``step`` the snapshots; also written to the store, as
        ``probes/`` and the probes' names.

    Raises:
        SpecError: for a mistake in the probes.
        StoreError: if there are no snapshots, the folder is not a store or is damaged, or something has changed.
    """
    path = place_of(path)
    sweep, known = same_as_ever(path, anyway, "probe")
    probes = Parts("probe").decode(add, "probes")
    origin = pieces.read_origin(path, known)
    steps = kept(sweep.base, origin)
    if not steps or "snapshots" in sweep.axes:
        raise StoreError(f"{str(path)!r} has no snapshots; allowed: a store of a spec with snapshots = [steps]")
    changed = put(put(put(sweep.base, "probes", probes), "record", At(steps)), "stop", ())
    if {"probes", "record", "stop"} & sweep.axes.keys():
        raise StoreError(f"{str(path)!r} sweeps what it records; its snapshots cannot be probed together")
    probing = sweep.along(changed)
    with scope(probing):
        found = dataset(probing, list(measured(path, Plan.stored(path, probing, known, devices()), known)))
    names = "+".join(sorted({type(p).__name__.lower() for p in probes}))
    folder.write_dataset(path, path / "probes" / f"{names}.zarr", found)
    return found


def same_as_ever(path: Path, anyway: bool, doing: str) -> tuple[Sweep, dict[str, Any]]:
    """Return the spec and the manifest of a store whose states are to be taken up.

    Raises:
        StoreError: if they are damaged, or versions or settings have changed that decide what the states go with.
    """
    sweep, known = reading.read_spec(path, anyway), reading.read_manifest(path, anyway)
    with scope(sweep):
        check_same(known, described(sweep, devices()), anyway, doing)
    return sweep, known


def kept(experiment: Experiment, origin: Origin) -> tuple[int, ...]:
    """Return the steps of a run's snapshots: a fork has none from before it began."""
    return tuple(step for step in experiment.snapshots if step >= origin.step)


def measured(path: Path, plan: Plan, known: Mapping[str, Any]) -> Iterator[Part]:
    """Yield what the probes see in every batch's snapshots."""
    place, shared = -1, None
    for planned in plan.batches():
        cohort, runs = planned.cohort, planned.runs
        if shared is None or planned.place != place:
            place, shared = planned.place, Shared.of(cohort, devices())
        batch, seen, steps = Batch(cohort, planned.lanes, shared), cohort.variables, cohort.snapshots
        arrays = {
            name: np.full((len(runs), len(steps), *(len(v.coordinates[dim]) for dim in v.dims)), np.nan)
            for name, v in seen.items()
        }
        for i, step in enumerate(steps.tolist()):
            states, there = pieces.read_snapshot(path, planned.number, step, known)
            if there.any():
                batch.adopt(states)
                for name, values in batch.look().items():
                    arrays[name][there, i] = values[batch.lanes.real][there]
        yield Part(runs, steps, seen, arrays, batch.status())


def fork(
    path: str | Path,
    run: int | Mapping[str, Any],
    step: int,
    change: Mapping[str, Any],
    out: str | Path | None = None,
    progress: bool | None = None,
    anyway: bool = False,
) -> xr.Dataset:
    """Run on from a stored state with other numbers.

    Args:
        path: a store whose spec has ``snapshots``.
        run: number of the run in the sweep, or its coordinates, e.g. ``{"weight_decay": 1.0, "seed": 0}``.
        step: one of the snapshots.
        change: dotted path -> a value, or a list of values, which becomes an axis.
        out: folder for a store of its own.
        anyway: although versions, device or settings have changed since; another random generator, say, draws other
            train rows.

    Returns:
        Dataset of the new runs from ``step`` to the last step. What is not changed goes on with the same bits; another
        ``dtype`` rounds the state to it, or widens it. An optimizer goes on with what another remembers if both make
        the same of it, such as with and without ``SAM`` around. Stop rules see the records of the new runs alone, so
        that what they count begins anew at ``step``. A change without effect, such as of what the state was drawn
        from, is told.

    Raises:
        SpecError: for a mistake in the arguments, or a model or optimizer that cannot go on from the state.
        StoreError: if the folder is not a store or is damaged, keeps no such snapshot, or something has changed.
    """
    path = place_of(path)
    sweep, known = same_as_ever(path, anyway, "fork")
    number = run_number(sweep, run)
    parent = next(e for i, e in enumerate(sweep.experiments()) if i == number)
    origin = pieces.read_origin(path, known)
    steps = kept(parent, origin)
    if step not in steps:
        raise SpecError("step", step, "one of the snapshots: " + (", ".join(map(str, steps)) or "none"))
    axes: dict[str, Any] = {name: v for name, v in change.items() if isinstance(v, list | range | np.ndarray)}
    single = {name: value for name, value in change.items() if name not in axes}
    new = Sweep(parent.replace(**single), axes)
    for experiment in new.experiments():
        if directions(experiment.optimizer) != directions(parent.optimizer):
            allowed = f"one that goes on with what {kind_of(parent.optimizer)} remembers"
            raise SpecError("optimizer", kind_of(experiment.optimizer), allowed)
    with scope(sweep):
        batch = Plan.stored(path, sweep, known, devices()).batch_of(number)
    leaves = stored_lane(path, batch, number, step, known)
    if parent.stop or "stop" in change:
        say(f"stop rules count anew: they see what is recorded from step {step} on")
    start, state = pieces.read_start(path, known), Origin(step, batch.cohort.program.rows, leaves)
    return execute(
        Here(), new, None if out is None else place_of(out, "out"), start, state, progress, asked=list(single)
    )


def directions(optimizer: AnyOptimizer) -> list[Any]:
    """Return how an optimizer and those inside it find their directions, which is what their states are for."""
    own = [type(optimizer).direction] if isinstance(optimizer, Optimizer) else []
    return own + [found for _, inner in inside(optimizer) for found in directions(inner)]


def stored_lane(path: Path, batch: Planned, run: int, step: int, known: Mapping[str, Any]) -> tuple[np.ndarray, ...]:
    """Return the state of one run at a snapshot.

    Args:
        batch: the run's.
    """
    states, there = pieces.read_snapshot(path, batch.number, step, known)
    (lane,) = np.flatnonzero(batch.runs == run)  # states are stored run by run
    if not there[lane]:
        raise StoreError(f"{str(path)!r}: run {run} was over before step {step}")
    return tuple(leaf[lane] for leaf in states)


def run_number(sweep: Sweep, run: int | Mapping[str, Any]) -> int:
    """Return the number of a run given by its number or its coordinates."""
    if isinstance(run, Mapping):
        places = []
        for name, values in sweep.coordinates.items():
            if name not in run:
                raise SpecError(f"run.{name}", Words("nothing"), "a value of every axis: " + ", ".join(sweep.shape))
            hits = np.flatnonzero([value == run[name] for value in values])
            if not len(hits):
                raise SpecError(f"run.{name}", run[name], "one of " + ", ".join(map(str, values)))
            places.append(int(hits[0]))
        unknown = set(run) - set(sweep.shape)
        if unknown:
            raise SpecError(f"run.{unknown.pop()}", Words("no axis"), "axes " + ", ".join(sweep.shape))
        return int(np.ravel_multi_index(places, tuple(sweep.shape.values()))) if places else 0
    if isinstance(run, bool) or not isinstance(run, int) or not 0 <= run < sweep.size:
        raise SpecError("run", run, f"a number from 0 to {sweep.size - 1}, or coordinates")
    return run
