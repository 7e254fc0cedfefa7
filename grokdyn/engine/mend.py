"""A finished store whose results are damaged becomes an unfinished one that lacks only what is lost."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grokdyn.engine.host.devices import devices
from grokdyn.engine.host.say import say
from grokdyn.engine.host.scope import scope
from grokdyn.engine.plan.plan import Plan
from grokdyn.engine.store import folder, pieces, reading, states
from grokdyn.engine.store.damage import DamageError, read_results
from grokdyn.engine.store.files import StoreError, beside, sync, writing
from grokdyn.engine.store.manifest import check_same, described
from grokdyn.engine.store.results import MISSING, STATUS, Part, places
from grokdyn.spec import toml
from grokdyn.spec.errors import SpecError
from grokdyn.spec.sweep import swept_paths

if TYPE_CHECKING:
    import xarray as xr


def mend(path: Path, anyway: bool = False) -> None:
    """Where a finished store is damaged, make parts of the batches that are whole; resuming trains the others.

    What is needed to train them is looked at first. The damaged results stay aside until the store is whole again.

    Args:
        anyway: although versions or settings have changed since.

    Raises:
        StoreError: if nothing can be read any more, the spec is another than the results are of, or what is lost
            could not be trained again; nothing is touched then.
    """
    known = reading.read_manifest(path)
    reading.spec_text(path, known)
    reading.check_own(path, known)
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
        sweep = reading.read_spec(path)
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
        folder.unsettle(path, known)


def lost_snapshots(path: Path, known: Mapping[str, Any]) -> dict[int, str]:
    """Return the batches of a finished store that have a snapshot no more or a damaged one, and how that is told."""
    lost = {}
    with suppress(StoreError, SpecError):  # what it began from was lost: then there is nothing to train it again from
        steps = noted_snapshots(reading.spec_text(path, known), states.read_origin(path, known).step)
        for number in reading.batches(path) if steps and "cohorts" in known else ():
            try:
                states.check_snapshots(path, number, steps, known)
            except StoreError as error:
                lost[number] = str(error)
    return lost


def noted_snapshots(spec: str, begin: int) -> list[int]:
    """Return the steps of all runs' snapshots from a step on; none where they are swept, and not the same for all."""
    raw = toml.loads(spec)
    swept = "snapshots" in swept_paths(raw.get("sweep", {}))
    return [] if swept else [step for step in raw.get("snapshots", []) if step >= begin]


def parts_of(path: Path, found: xr.Dataset) -> Iterator[Part]:
    """Yield what every batch of a store has found, from the results."""
    sweep, known = reading.read_spec(path), reading.read_manifest(path)
    flat = {name: array.values.reshape(sweep.size, *array.shape[len(sweep.shape) :]) for name, array in found.items()}
    coordinates = {str(name): array.values for name, array in found.coords.items()}
    with scope(sweep):
        plan = Plan.stored(path, sweep, known, devices())
    for batch in plan.batches():
        recorded, variables = batch.cohort.recorded, batch.cohort.variables
        arrays = {
            name: flat[name][places(batch.runs, recorded, variable, coordinates)]
            for name, variable in variables.items()
            if name in flat  # else nothing is known of it, and all runs count as missing
        }
        status = {name: flat[name][batch.runs] for name in STATUS}
        yield Part(batch.runs, recorded, variables, arrays, status)
