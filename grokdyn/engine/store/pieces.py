"""The pieces of a store: what batches found, stored states, given starts; each a file of its own.

A batch goes by its number, or, where memory was short and it was halved, by a word such as ``"000003-0"``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from grokdyn.engine.store.arrays import AGAIN, arrays_in, checksum_in, write_arrays
from grokdyn.engine.store.files import StoreError, make_folder, writing
from grokdyn.engine.store.lazy import StoredPart
from grokdyn.engine.store.regular import check_regular
from grokdyn.engine.store.results import STATUS, Part
from grokdyn.probes.base import Variable
from grokdyn.train.start import Origin, Start

# What runs may begin from.
GIVEN = ("start.npz", "origin.npz")


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
        name: (v.long_name, v.units, [(dim, np.asarray(v.coordinates[dim]).tolist()) for dim in v.dims], v.part)
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
                long_name, units, tuple(dim for dim, _ in axes), dict(axes), *part
            )  # earlier files have none
            for name, (long_name, units, axes, *part) in json.loads(file["about"].tobytes()).items()
        }
        return StoredPart(place, file["runs"], file["steps"], variables, {n: file[f"status.{n}"] for n in STATUS})


def write_given(path: Path, start: Start | None, origin: Origin) -> dict[str, str]:
    """Write what is given to begin from, and the stored state that runs go on from; return the checksums."""
    sums = {}
    if start is not None:
        sums["start.npz"] = write_arrays(path / "start.npz", start.arrays(), {"piece": "start"})
    if origin.leaves:
        leaves = {f"leaf.{i}": leaf for i, leaf in enumerate(origin.leaves)}
        arrays = {"step": np.int64(origin.step), "rows": np.int64(origin.rows), **leaves}
        sums["origin.npz"] = write_arrays(path / "origin.npz", arrays, {"piece": "origin"})
    return sums


def check_given(path: Path, name: str, known: Mapping[str, Any]) -> bool:
    """Return whether a store's runs begin from a file.

    Raises:
        StoreError: if it is not there, or another than the store was made with.
    """
    place, hint = path / name, "put a copy of it back, or train the spec anew in another folder"
    check_regular(place, path)
    if "given" not in known:  # an earlier version made the store, or the manifest was lost
        return place.is_file()
    noted = known["given"].get(name)
    if noted is None and place.exists():
        raise StoreError(f"{str(place)!r} is not what this store's runs began from: they began without; remove it")
    if noted is not None and not place.is_file():
        raise StoreError(f"{str(place)!r} is not there, which this store's runs begin from; {hint}")
    if noted is not None and checksum_in(place) != noted:
        raise StoreError(f"{str(place)!r} is damaged or another file than this store's runs began from; {hint}")
    return noted is not None


def read_start(path: Path, known: Mapping[str, Any]) -> Start | None:
    """Return what is given for a store's runs to begin from, if anything.

    Raises:
        StoreError: if they were lost or are damaged.
    """
    if not check_given(path, "start.npz", known):
        return None
    with arrays_in(path / "start.npz", hint="put a copy of it back") as file:
        return Start.of_arrays({name: file[name] for name in file.files})


def read_origin(path: Path, known: Mapping[str, Any]) -> Origin:
    """Return the stored state that a store's runs go on from, if any.

    Raises:
        StoreError: if it was lost or is damaged.
    """
    if not check_given(path, "origin.npz", known):
        return Origin()
    with arrays_in(path / "origin.npz", hint="put a copy of it back") as file:
        return Origin(int(file["step"]), int(file["rows"]), leaves_of(file))


def leaves_of(file: Any) -> tuple[np.ndarray, ...]:
    return tuple(file[f"leaf.{i}"] for i in range(sum(name.startswith("leaf.") for name in file.files)))


def snapshot_file(path: Path, batch: int | str, step: int) -> Path:
    return path / "snapshots" / f"{word(batch)}-{step:010d}.npz"


def write_snapshot(
    path: Path,
    batch: int | str,
    step: int,
    leaves: Sequence[np.ndarray],
    there: np.ndarray,
    known: Mapping[str, Any],
) -> None:
    """Write the state of a batch's runs at a step.

    Args:
        there: marks the runs that were not over before [runs]; where all were, there are no leaves.
        known: the manifest of the store.
    """
    place = snapshot_file(path, batch, step)
    arrays = {"there": there, **{f"leaf.{i}": leaf for i, leaf in enumerate(leaves)}}
    with writing(path):
        make_folder(place.parent)
        write_arrays(place, arrays, belongs(known, "snapshot", batch, step=int(step)))


@contextmanager
def snapshot(path: Path, batch: int | str, step: int, known: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the arrays of a snapshot.

    Raises:
        StoreError: if it is not there, is damaged, or of another sweep.
    """
    place = snapshot_file(path, batch, step)
    check_regular(place, path)
    try:
        with arrays_in(place, belongs(known, "snapshot", batch, step=int(step))) as file:
            yield file
    except FileNotFoundError:
        raise StoreError(f"{str(place)!r} is not there; {AGAIN}") from None


def read_snapshot(
    path: Path, batch: int | str, step: int, known: Mapping[str, Any]
) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Return what ``write_snapshot`` wrote; raise StoreError as ``snapshot``."""
    with snapshot(path, batch, step, known) as file:
        return leaves_of(file), file["there"]


def check_snapshots(path: Path, batch: int | str, steps: Iterable[int], known: Mapping[str, Any]) -> None:
    """Raise StoreError unless all snapshots of a batch are there and whole."""
    for step in steps:
        with snapshot(path, batch, step, known):
            pass


def check_clear(path: Path, batch: int | str, steps: Iterable[int]) -> None:
    """Raise StoreError if a folder is where a file of a batch belongs: that is told before training."""
    for place in (part_file(path, batch), so_far_file(path, batch), *(snapshot_file(path, batch, s) for s in steps)):
        if place.is_dir():
            raise StoreError(f"{str(place)!r} is a folder; move it away, and grokdyn resume goes on")


def join_snapshots(path: Path, batch: str, halves: Sequence[str], step: int, known: Mapping[str, Any]) -> None:
    """Make one snapshot of those of a batch's halves."""
    if all(not snapshot_file(path, half, step).is_file() for half in halves):
        return  # an earlier session has done so, and removed them
    found = [read_snapshot(path, half, step, known) for half in halves]
    shapes = next((leaves for leaves, _ in found if leaves), ())
    filled = [leaves or [np.zeros((len(there), *x.shape[1:]), x.dtype) for x in shapes] for leaves, there in found]
    leaves = [np.concatenate(same) for same in zip(*filled, strict=True)]
    write_snapshot(path, batch, step, leaves, np.concatenate([there for _, there in found]), known)
