"""A finished store whose results are damaged becomes an unfinished one that lacks only what is lost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

from grokdyn.engine import pieces, plan, store
from grokdyn.engine.batch import variables
from grokdyn.engine.damage import read_results
from grokdyn.engine.devices import devices
from grokdyn.engine.files import StoreError, remove, writing
from grokdyn.engine.manifest import check_same, described
from grokdyn.engine.results import MISSING, STATUS, Part, places
from grokdyn.engine.scope import scope


def mend(path: Path, anyway: bool = False) -> None:
    """Where the results of a store are damaged, make parts of the batches that are whole; resuming trains the others.

    Args:
        anyway: although versions or settings have changed since.

    Raises:
        StoreError: if nothing can be read any more, the spec is another than the results are of, or what is lost
            could not be trained again; nothing is touched then.
    """
    known = store.read_manifest(path)
    store.spec_text(path, known)
    try:
        read_results(path, known)
    except StoreError:
        if "cohorts" not in known:  # the manifest was lost too
            raise
        found = read_results(path, known, anyway=True)
    else:
        return
    sweep = store.read_spec(path)
    with scope(sweep):
        check_same(known, described(sweep, devices()), anyway)
    for number, part in enumerate(parts_of(path, found)):
        if (part.status["status"] != MISSING).all():
            pieces.write_part(pieces.part_file(path, number), part, known)
    with writing(path):
        damaged = path / "results.zarr.damaged.tmp"
        remove(damaged)
        os.replace(path / "results.zarr", damaged)
        store.unsettle(path, known)
    remove(damaged)


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
            }
            status = {name: flat[name][runs] for name in STATUS}
            yield Part(runs, cohort.recorded, known_variables, arrays, status)
