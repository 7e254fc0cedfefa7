"""What the batches of a store found, each in a file of its own.

A batch goes by its number, or, where memory was short and it was halved, by a word such as ``"000003-0"``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from grokdyn.engine.store.arrays import arrays_in, write_arrays
from grokdyn.engine.store.files import StoreError, make_folder, writing
from grokdyn.engine.store.lazy import StoredPart
from grokdyn.engine.store.regular import check_regular
from grokdyn.engine.store.results import STATUS, Part
from grokdyn.probes.base import Variable


def word(batch: int | str) -> str:
    """Return what a batch's files are named after."""
    return batch if isinstance(batch, str) else f"{batch:06d}"


def part_file(path: Path, batch: int | str) -> Path:
    return path / "parts" / f"{word(batch)}.npz"


def so_far_file(path: Path, batch: int | str) -> Path:
    """Return the file of what a batch in training has found so far; for looking at, nothing goes on from it."""
    return path / "checkpoints" / f"{word(batch)}.npz"


def belongs(known: Mapping[str, Any], piece: str, batch: int | str, **more: Any) -> dict[str, Any]:
    """Return what a piece notes: what it is, of which sweep and batch. Where the manifest was lost, nothing is known.

    Args:
        known: the store's manifest.
    """
    return {"piece": piece, "sweep": known.get("identity", ""), "batch": word(batch), **more} if known else {}


def write_part(place: Path, part: Part, known: Mapping[str, Any], piece: str = "part") -> None:
    """Write what a batch found; doing so again does no harm.

    Args:
        known: the manifest of the store it belongs to.

    Raises:
        StoreError: if it cannot be written; no half of it stays.
    """
    described = {
        name: (
            v.long_name,
            v.units,
            [(dim, np.asarray(v.coordinates[dim]).tolist()) for dim in v.dims],
            v.part,
            v.every,
            *([v.trusted_to] if math.isfinite(v.trusted_to) else []),
        )
        for name, v in part.variables.items()
    }
    about = np.frombuffer(json.dumps(described).encode(), np.uint8)
    arrays = {f"array.{name}": array for name, array in part.arrays.items()}
    status = {f"status.{name}": array for name, array in part.status.items()}
    named = {"runs": part.runs, "steps": part.steps, "about": about, **arrays, **status}
    with writing(place.parents[1]):
        make_folder(place.parent)
        write_arrays(place, named, belongs(known, piece, place.stem))


def find_part(path: Path, batch: int | str, known: Mapping[str, Any]) -> Part | None:
    """Return what a batch found, or None if it is not finished.

    Raises:
        StoreError: if its file is damaged or of another sweep, naming it.
    """
    place = part_file(path, batch)
    check_regular(place, path)
    return read_part(place, known) if place.is_file() else None


def is_part(path: Path, batch: int | str, known: Mapping[str, Any]) -> bool:
    """Return whether what a batch found is there, whole and of this sweep."""
    place = part_file(path, batch)
    try:
        with arrays_in(place, belongs(known, "part", batch)):
            return True
    except (StoreError, FileNotFoundError):
        return False


def read_part(place: Path, known: Mapping[str, Any], piece: str = "part") -> Part:
    """Return what ``write_part`` wrote.

    Raises:
        StoreError: if the file is damaged or of another sweep, naming it.
    """
    part = stored_part(place, known, piece)
    arrays = {name: part.array(name) for name in part.variables}
    return Part(part.runs, part.steps, part.variables, arrays, part.status)


def stored_part(place: Path, known: Mapping[str, Any], piece: str = "part") -> StoredPart:
    """Return what ``write_part`` wrote; its arrays are read when they are asked for.

    Raises:
        StoreError: if the file is damaged or of another sweep, naming it.
    """
    with arrays_in(place, belongs(known, piece, place.stem)) as file:
        variables = {
            name: Variable(
                long_name, units, tuple(dim for dim, _ in axes), dict(axes), *rest
            )  # earlier files have less of it
            for name, (long_name, units, axes, *rest) in json.loads(file["about"].tobytes()).items()
        }
        return StoredPart(place, file["runs"], file["steps"], variables, {n: file[f"status.{n}"] for n in STATUS})


def check_clear(path: Path, batch: int | str, others: Iterable[Path]) -> None:
    """Raise StoreError if a folder is where a file of a batch belongs: that is told before training.

    Args:
        others: files of it besides those of this room.
    """
    for place in (part_file(path, batch), so_far_file(path, batch), *others):
        if place.is_dir():
            raise StoreError(f"{str(place)!r} is a folder; move it away, and grokdyn resume goes on")
