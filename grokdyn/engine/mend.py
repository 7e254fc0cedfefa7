"""A finished store whose results are damaged becomes an unfinished one that lacks only what is lost."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from grokdyn.engine import pieces, plan, store
from grokdyn.engine.damage import DamageError, read_results
from grokdyn.engine.devices import devices
from grokdyn.engine.files import StoreError, beside, sync, writing
from grokdyn.engine.manifest import check_same, described
from grokdyn.engine.plan import variables
from grokdyn.engine.results import MISSING, STATUS, Part, places
from grokdyn.engine.say import say
from grokdyn.engine.scope import scope
from grokdyn.spec import toml
from grokdyn.spec.errors import SpecError
from grokdyn.spec.sweep import flattened


def mend(path: Path, anyway: bool = False) -> None:
    """Where a finished store is damaged, make parts of the batches that are whole; resuming trains the others.

    What is needed to train them is looked at first. The damaged results stay aside until the store is whole again.

    Args:
        anyway: although versions or settings have changed since.

    Raises:
        StoreError: if nothing can be read any more, the spec is another than the results are of, or what is lost
            could not be trained again; nothing is touched then.
    """
    known = store.read_manifest(path)
    store.spec_text(path, known)
    store.check_own(path, known)
    spoilt = ""
    try:
        found = read_results(path, known)
    except DamageError as error:
        if "cohorts" not in known:  # the manifest was lost too
            raise
        spoilt, found = str(error), read_results(path, known, anyway=True)
    lost = lost_snapshots(path, known)
    if not spoilt and not lost:
        return
    try:
        sweep = store.read_spec(path)
        with scope(sweep):
            check_same(known, described(sweep, devices()), anyway)
        found_parts = list(parts_of(path, found))
    except (StoreError, SpecError) as error:
        if spoilt:
            raise
        say(f"{next(iter(lost.values()))}, which cannot be: {error}")
        return
    for number, part in enumerate(found_parts):
        if number not in lost and (part.status["status"] != MISSING).all():
            pieces.write_part(pieces.part_file(path, number), part, known)
    place = path / "results.zarr"
    with writing(path), beside(place, folder=True) as damaged:
        os.replace(place, damaged)
        sync(path)
        store.unsettle(path, known)


def lost_snapshots(path: Path, known: Mapping[str, Any]) -> dict[int, str]:
    """Return the batches of a finished store that have a snapshot no more or a damaged one, and how that is told."""
    lost = {}
    with suppress(StoreError, SpecError):  # what it began from was lost: then there is nothing to train it again from
        steps = noted_snapshots(store.spec_text(path, known), pieces.read_origin(path, known).step)
        for number in store.batches(path) if steps and "cohorts" in known else ():
            try:
                pieces.check_snapshots(path, number, steps, known)
            except StoreError as error:
                lost[number] = str(error)
    return lost


def noted_snapshots(spec: str, begin: int) -> list[int]:
    """Return the steps of all runs' snapshots from a step on; none where they are swept, and not the same for all."""
    raw = toml.loads(spec)
    swept = "snapshots" in flattened(raw.get("sweep", {}))
    return [] if swept else [step for step in raw.get("snapshots", []) if step >= begin]


def parts_of(path: Path, found: xr.Dataset) -> Iterator[Part]:
    """Yield what every batch of a store has found, from the results."""
    sweep, known = store.read_spec(path), store.read_manifest(path)
    flat = {name: array.values.reshape(sweep.size, *array.shape[len(sweep.shape) :]) for name, array in found.items()}
    coordinates = {str(name): array.values for name, array in found.coords.items()}
    with scope(sweep):
        experiments, sizes = list(sweep.experiments()), plan.sizes_of(known)
        given = pieces.read_start(path, known), pieces.read_origin(path, known)
        planned = plan.cohorts(experiments, given[0], devices(), sizes, given[1])
    for cohort in planned:
        known_variables = variables(cohort)
        for lanes in cohort.batches:
            runs = cohort.runs[np.unique(lanes)]
            arrays = {
                name: flat[name][places(runs, cohort.recorded, variable, coordinates)]
                for name, variable in known_variables.items()
                if name in flat  # else nothing is known of it, and all runs count as missing
            }
            status = {name: flat[name][runs] for name in STATUS}
            yield Part(runs, cohort.recorded, known_variables, arrays, status)
