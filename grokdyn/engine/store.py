"""The folder that a sweep writes.

``spec.toml`` and ``manifest.json`` are written first, a file in ``parts/`` after every batch, and ``results.zarr`` at
the end, when the parts go. Every file appears whole or not at all: it is written beside its place and renamed.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr.codecs

from grokdyn.engine.results import STATUS, Part, dataset
from grokdyn.probes.base import Variable
from grokdyn.spec import toml
from grokdyn.spec.experiment import Experiment
from grokdyn.spec.sweep import Sweep, decode
from grokdyn.train.start import Origin, Start

SCHEMA = 1


class StoreError(ValueError):
    """A folder that cannot be written, or is not a store, or is damaged."""


def create(path: Path, sweep: Sweep, start: Start | None, origin: Origin, manifest: dict[str, Any]) -> None:
    """Make the folder of a new store; it appears with its spec and manifest in it, or not at all.

    Raises:
        StoreError: if it exists and is not empty, or cannot be written; nothing is written then.
    """
    check_free(path)
    with writing(path):
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.absolute().parent))
        try:
            (made / "parts").mkdir()
            write_text(made / "spec.toml", sweep.to_toml())
            write_start(made, start)
            write_origin(made, origin)
            write_manifest(made, manifest)
            made.chmod(0o755)
            os.replace(made, path)  # also over an empty folder
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tell a full disk or a missing permission as a StoreError."""
    try:
        yield
    except OSError as error:
        told = f"{error.strerror or error}; what was finished before is kept"
        raise StoreError(f"out: cannot write to {str(path)!r}: {told}") from None


def check_free(path: Path) -> None:
    """Raise StoreError unless the folder is empty or absent and could be written."""
    if path.exists() and not path.is_dir():
        raise StoreError(f"out: {str(path)!r} is a file; allowed: a folder that is empty or does not exist yet")
    if path.is_dir() and any(path.iterdir()):
        raise StoreError(f"out: {str(path)!r} is not empty; allowed: a folder that is empty or does not exist yet")
    parent = next(p for p in (path, *path.absolute().parents) if p.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise StoreError(f"out: {str(parent)!r} cannot be written; allowed: a folder that you may write")


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False, encoding="utf-8") as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def write_manifest(path: Path, manifest: dict[str, Any]) -> None:
    write_text(path / "manifest.json", json.dumps({**manifest, "schema": SCHEMA}, indent=2) + "\n")


def part_file(path: Path, number: int) -> Path:
    return path / "parts" / f"{number:06d}.npz"


def write_part(path: Path, number: int, part: Part) -> None:
    """Write what a batch found; doing so again does no harm.

    Raises:
        StoreError: if it cannot be written; no half of it stays.
    """
    kinds = {name: (v.long_name, v.units, v.dims) for name, v in part.variables.items()}
    axes = {dim: np.asarray(v.coordinates[dim]).tolist() for v in part.variables.values() for dim in v.dims}
    about = np.frombuffer(json.dumps({"variables": kinds, "axes": axes}).encode(), np.uint8)
    arrays = {f"array.{name}": array for name, array in part.arrays.items()}
    status = {f"status.{name}": array for name, array in part.status.items()}
    with writing(path):
        write_arrays(
            part_file(path, number), {"runs": part.runs, "steps": part.steps, "about": about, **arrays, **status}
        )


def write_arrays(place: Path, arrays: dict[str, Any]) -> None:
    """Write a compressed npz file whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=place.parent, suffix=".tmp", delete=False) as file:
        try:
            np.savez_compressed(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            os.unlink(file.name)
            raise
    os.replace(file.name, place)


def find_part(path: Path, number: int) -> Part | None:
    """Return what a batch found, or None if it is not finished.

    Raises:
        StoreError: if its file is damaged, naming it.
    """
    place = part_file(path, number)
    return read_part(place) if place.is_file() else None


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
    with np.load(path / "start.npz") as file:
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
    with np.load(path / "origin.npz") as file:
        return Origin(int(file["step"]), int(file["rows"]), leaves_of(file))


def leaves_of(file: Any) -> tuple[np.ndarray, ...]:
    return tuple(file[f"leaf.{i}"] for i in range(sum(name.startswith("leaf.") for name in file.files)))


def snapshot_file(path: Path, batch: int, step: int) -> Path:
    return path / "snapshots" / f"{batch:06d}-{step:010d}.npz"


def write_snapshot(path: Path, batch: int, step: int, leaves: list[np.ndarray], there: np.ndarray) -> None:
    """Write the state of a batch's lanes at a step; ``there`` marks the lanes that were not over before."""
    place = snapshot_file(path, batch, step)
    with writing(path):
        place.parent.mkdir(exist_ok=True)
        write_arrays(place, {"there": there, **{f"leaf.{i}": leaf for i, leaf in enumerate(leaves)}})


def read_snapshot(path: Path, batch: int, step: int) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Return what ``write_snapshot`` wrote.

    Raises:
        StoreError: if it is not there or is damaged.
    """
    place = snapshot_file(path, batch, step)
    try:
        with np.load(place) as file:
            return leaves_of(file), file["there"]
    except FileNotFoundError:
        raise StoreError(f"{str(path)!r} has no snapshot of batch {batch} at step {step}") from None
    except Exception as error:  # numpy and zipfile raise half a dozen kinds for a damaged file
        raise StoreError(f"{str(place)!r} is damaged ({error})") from None


def read_part(path: Path) -> Part:
    try:
        with np.load(path) as file:
            about = json.loads(file["about"].tobytes())
            variables = {
                name: Variable(long_name, units, tuple(dims), {dim: about["axes"][dim] for dim in dims})
                for name, (long_name, units, dims) in about["variables"].items()
            }
            arrays = {name: file[f"array.{name}"] for name in variables}
            return Part(file["runs"], file["steps"], variables, arrays, {n: file[f"status.{n}"] for n in STATUS})
    except Exception as error:  # numpy and zipfile raise half a dozen kinds for a damaged file
        hint = "remove it, and resume trains its batch again"
        raise StoreError(f"{str(path)!r} is damaged ({error}); {hint}") from None


def finish(path: Path, found: xr.Dataset, manifest: dict[str, Any]) -> None:
    """Write the results, then remove the parts.

    Raises:
        StoreError: if they cannot be written; the parts stay, and resuming writes the results from them.
    """
    write_dataset(path, path / "results.zarr", found)
    with writing(path):
        settle(path, manifest)


def write_dataset(path: Path, place: Path, found: xr.Dataset) -> None:
    """Write a Dataset into a store whole or not at all, over an earlier one."""
    temporary = place.with_name(f"{place.name}.tmp-{os.getpid()}")
    # The compressor's checksum finds damage on reading.
    packed = {name: {"compressors": [zarr.codecs.ZstdCodec(level=3, checksum=True)]} for name in found.data_vars}
    with writing(path):
        try:
            with warnings.catch_warnings():
                # Consolidated metadata is xarray's default to read and zarr's to warn of; it makes opening quick.
                warnings.filterwarnings("ignore", message="Consolidated metadata")
                found.to_zarr(temporary, consolidated=True, encoding=packed)
            if place.is_dir():
                shutil.rmtree(place)
            os.replace(temporary, place)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def note_session(path: Path, session: dict[str, Any]) -> None:
    """Add to the manifest what one session of training took."""
    known = read_manifest(path)
    write_manifest(path, {**known, "sessions": [*known.get("sessions", []), session]})


def settle(path: Path, manifest: dict[str, Any]) -> None:
    """Note that a store is finished, and remove what only an unfinished one needs."""
    write_manifest(path, {**manifest, "finished": True})
    for name in ("parts", "checkpoints"):
        shutil.rmtree(path / name, ignore_errors=True)


def read_spec(path: str | Path) -> Sweep:
    """Return the sweep a store was made from.

    Raises:
        StoreError: if the folder is not a store.
    """
    if not (Path(path) / "spec.toml").is_file():
        raise StoreError(f"{str(path)!r} is not a store; allowed: a folder written by grokdyn run")
    found = decode(toml.read(Path(path) / "spec.toml"))
    return Sweep(found, {}) if isinstance(found, Experiment) else found


def read_manifest(path: str | Path) -> dict[str, Any]:
    """Return how a store was made."""
    try:
        return json.loads((Path(path) / "manifest.json").read_text())
    except (OSError, ValueError) as error:
        raise StoreError(f"{str(Path(path) / 'manifest.json')!r} cannot be read: {error}") from None


def open_store(path: str | Path) -> xr.Dataset:
    """Open the results of a store, also of one that is still being written.

    Returns:
        The Dataset, loaded; runs that are not there yet are nan with status -1.

    Raises:
        StoreError: if the folder is not a store or is damaged.
    """
    path = Path(path)
    results = path / "results.zarr"
    sweep = read_spec(path)
    if results.is_dir():
        try:
            return xr.open_zarr(results).load()
        except Exception as error:  # zarr's errors on damage are of many kinds
            raise StoreError(f"{str(results)!r} is damaged: {error}") from None
    return dataset(sweep, [read_part(file) for file in sorted((path / "parts").glob("*.npz"))])
