"""The results of a store, put together from what its batches found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from grokdyn.engine.store import folder, pieces
from grokdyn.engine.store.extension import complete, shared
from grokdyn.engine.store.files import StoreError
from grokdyn.engine.store.lazy import in_memory
from grokdyn.engine.store.reading import (
    axes,
    batches,
    is_finished,
    labelled,
    open_store,
    placed,
    read_manifest,
    spec_text,
)
from grokdyn.spec.paths import place_of

if TYPE_CHECKING:
    import xarray as xr


def collect(path: str | Path) -> xr.Dataset:
    """Put the results of a store together, once all its batches are finished, and return them.

    Raises:
        StoreError: if batches are missing, naming how many.
    """
    path = place_of(path)
    complete(path)
    if not is_finished(path):
        try:
            with shared(path):
                found = together(path)
                folder.finish(path, found)
            return placed(found, path) if in_memory(found) else open_store(path)
        except Exception:  # of any kind: another process that collects removes the files under our feet
            if not is_finished(path):
                raise
    found = open_store(path)
    folder.settle(path)
    return found


def together(path: Path) -> xr.Dataset:
    """Return the Dataset of all batches of a store."""
    known = read_manifest(path)
    text = spec_text(path, known)
    places = [pieces.part_file(path, number) for number in batches(path)]
    missing = sum(not place.is_file() for place in places)
    if missing:
        raise StoreError(f"{str(path)!r}: {missing} of {len(places)} batches are missing; grokdyn resume {path}")
    return labelled(axes(path, known), text, [pieces.stored_part(place, known) for place in places])
