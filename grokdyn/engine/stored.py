"""The runs and states of a store, as whoever takes them up names them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from grokdyn.engine.host.devices import devices
from grokdyn.engine.host.scope import scope
from grokdyn.engine.plan.plan import Planned
from grokdyn.engine.store import reading, states
from grokdyn.engine.store.files import StoreError
from grokdyn.engine.store.manifest import check_same, described
from grokdyn.spec.errors import SpecError, Words
from grokdyn.spec.experiment import Experiment
from grokdyn.spec.sweep import Sweep
from grokdyn.train.origin import Origin


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


def stored_lane(path: Path, batch: Planned, run: int, step: int, known: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return the state of one run at a snapshot, leaf by leaf.

    Args:
        batch: the run's.
    """
    found, there = states.read_snapshot(path, batch.number, step, known)
    (lane,) = np.flatnonzero(batch.runs == run)  # states are stored run by run
    if not there[lane]:
        raise StoreError(f"{str(path)!r}: run {run} was over before step {step}")
    return {name: leaf[lane] for name, leaf in found.items()}


def run_number(sweep: Sweep, run: int | Mapping[str, Any]) -> int:
    """Return the number of a run given by its number or its coordinates."""
    if isinstance(run, Mapping):
        beside = {dim: {n: v for n, (along, v) in sweep.beside.items() if along == dim} for dim in sweep.shape}
        known = {name for dim in beside for name in (dim, *beside[dim])}
        unknown = set(run) - known
        if unknown:
            raise SpecError(f"run.{unknown.pop()}", Words("no axis"), "axes " + ", ".join(sorted(known)))
        places = [place_along(dim, values, beside[dim], run) for dim, values in sweep.coordinates.items()]
        return int(np.ravel_multi_index(places, tuple(sweep.shape.values()))) if places else 0
    if isinstance(run, bool) or not isinstance(run, int) or not 0 <= run < sweep.size:
        raise SpecError("run", run, f"a number from 0 to {sweep.size - 1}, or coordinates")
    return run


def place_along(dim: str, values: np.ndarray, beside: Mapping[str, np.ndarray], run: Mapping[str, Any]) -> int:
    """Return the place along a dimension that coordinates name, its own or those beside it."""
    named = {name: column for name, column in {dim: values, **beside}.items() if name in run}
    if not named:
        allowed = f"a value of every axis: {dim}" + (f", or of {', '.join(beside)}" if beside else "")
        raise SpecError(f"run.{dim}", Words("nothing"), allowed)
    hits = np.arange(len(values))
    for name, column in named.items():
        hits = hits[[column[i] == run[name] for i in hits]]
        if not len(hits):
            raise SpecError(f"run.{name}", run[name], "one of " + ", ".join(map(str, dict.fromkeys(column.tolist()))))
    if len(hits) > 1:
        raise SpecError(f"run.{dim}", Words(f"{len(hits)} runs of these coordinates"), f"more of {', '.join(beside)}")
    return int(hits[0])
