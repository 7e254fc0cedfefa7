"""The pieces of a store: what batches found, stored states, given starts; each a file of its own.

A batch goes by its number, or, where memory was short and it was halved, by a word such as ``"000003-0"``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from grokdyn.engine.files import StoreError, arrays_in, write_arrays, writing
from grokdyn.engine.results import STATUS, Part
from grokdyn.probes.base import Variable
from grokdyn.train.start import Origin, Start


def word(batch: int | str) -> str:
    """Return what a batch's files are named after."""
    return batch if isinstance(batch, str) else f"{batch:06d}"


def part_file(path: Path, batch: int | str) -> Path:
    return path / "parts" / f"{word(batch)}.npz"


def so_far_file(path: Path, batch: int | str) -> Path:
    """Return the file of what a batch in training has found so far; for looking at, nothing goes on from it."""
    return path / "checkpoints" / f"{word(batch)}.npz"


def write_part(place: Path, part: Part) -> None:
    """Write what a batch found; doing so again does no harm.

    Raises:
        StoreError: if it cannot be written; no half of it stays.
    """
    known = {
        name: (v.long_name, v.units, [(dim, np.asarray(v.coordinates[dim]).tolist()) for dim in v.dims])
        for name, v in part.variables.items()
    }
    about = np.frombuffer(json.dumps(known).encode(), np.uint8)
    arrays = {f"array.{name}": array for name, array in part.arrays.items()}
    status = {f"status.{name}": array for name, array in part.status.items()}
    with writing(place.parents[1]):
        place.parent.mkdir(exist_ok=True)
        write_arrays(place, {"runs": part.runs, "steps": part.steps, "about": about, **arrays, **status})


def find_part(path: Path, batch: int | str) -> Part | None:
    """Return what a batch found, or None if it is not finished.

    Raises:
        StoreError: if its file is damaged, naming it.
    """
    place = part_file(path, batch)
    return read_part(place) if place.is_file() else None


def read_part(place: Path) -> Part:
    """Return what ``write_part`` wrote.

    Raises:
        StoreError: if the file is damaged, naming it.
    """
    with arrays_in(place) as file:
        variables = {
            name: Variable(long_name, units, tuple(dim for dim, _ in axes), dict(axes))
            for name, (long_name, units, axes) in json.loads(file["about"].tobytes()).items()
        }
        arrays = {name: file[f"array.{name}"] for name in variables}
        return Part(file["runs"], file["steps"], variables, arrays, {n: file[f"status.{n}"] for n in STATUS})


def write_start(path: Path, start: Start | None) -> None:
    """Write given parameters, rows and labels, if any."""
    if start is not None:
        named = {f"params.{name}": value for name, value in (start.params or {}).items()}
        named |= {"train_rows": start.train_rows, "train_labels": start.train_labels}
        write_arrays(path / "start.npz", {name: np.asarray(v) for name, v in named.items() if v is not None})


def read_start(path: Path) -> Start | None:
    """Return what ``write_start`` wrote."""
    if not (path / "start.npz").is_file():
        return None
    with arrays_in(path / "start.npz") as file:
        params = {name.removeprefix("params."): file[name] for name in file.files if name.startswith("params.")}
        rows, labels = (file[name] if name in file.files else None for name in ("train_rows", "train_labels"))
    return Start(params or None, rows, labels)


def write_origin(path: Path, origin: Origin) -> None:
    """Write the stored state that runs go on from, if any."""
    if origin.leaves:
        leaves = {f"leaf.{i}": leaf for i, leaf in enumerate(origin.leaves)}
        write_arrays(path / "origin.npz", {"step": np.int64(origin.step), "rows": np.int64(origin.rows), **leaves})


def read_origin(path: Path) -> Origin:
    """Return what ``write_origin`` wrote."""
    if not (path / "origin.npz").is_file():
        return Origin()
    with arrays_in(path / "origin.npz") as file:
        return Origin(int(file["step"]), int(file["rows"]), leaves_of(file))


def leaves_of(file: Any) -> tuple[np.ndarray, ...]:
    return tuple(file[f"leaf.{i}"] for i in range(sum(name.startswith("leaf.") for name in file.files)))


def snapshot_file(path: Path, batch: int | str, step: int) -> Path:
    return path / "snapshots" / f"{word(batch)}-{step:010d}.npz"


def write_snapshot(path: Path, batch: int | str, step: int, leaves: Sequence[np.ndarray], there: np.ndarray) -> None:
    """Write the state of a batch's runs at a step.

    Args:
        there: marks the runs that were not over before [runs]; where all were, there are no leaves.
    """
    place = snapshot_file(path, batch, step)
    with writing(path):
        place.parent.mkdir(exist_ok=True)
        write_arrays(place, {"there": there, **{f"leaf.{i}": leaf for i, leaf in enumerate(leaves)}})


def read_snapshot(path: Path, batch: int | str, step: int) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Return what ``write_snapshot`` wrote.

    Raises:
        StoreError: if it is not there or is damaged.
    """
    try:
        with arrays_in(snapshot_file(path, batch, step)) as file:
            return leaves_of(file), file["there"]
    except FileNotFoundError:
        raise StoreError(f"{str(path)!r} has no snapshot of batch {batch} at step {step}") from None


def join_snapshots(path: Path, batch: str, halves: Sequence[str], step: int) -> None:
    """Make one snapshot of those of a batch's halves."""
    if snapshot_file(path, batch, step).is_file():
        return
    found = [read_snapshot(path, half, step) for half in halves]
    shapes = next((leaves for leaves, _ in found if leaves), ())
    filled = [leaves or [np.zeros((len(there), *x.shape[1:]), x.dtype) for x in shapes] for leaves, there in found]
    leaves = [np.concatenate(same) for same in zip(*filled, strict=True)]
    write_snapshot(path, batch, step, leaves, np.concatenate([there for _, there in found]))
