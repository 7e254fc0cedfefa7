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
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from grokdyn.engine.results import STATUS, Part, dataset
from grokdyn.probes.base import Variable
from grokdyn.spec import toml
from grokdyn.spec.experiment import Experiment
from grokdyn.spec.sweep import Sweep, decode

SCHEMA = 1


class StoreError(ValueError):
    """A folder that cannot be written, or is not a store, or is damaged."""


def create(path: Path, sweep: Sweep, manifest: dict[str, Any]) -> None:
    """Make the folder of a new store.

    Raises:
        StoreError: if it exists and is not empty, or cannot be written; nothing is written then.
    """
    check_free(path)
    try:
        (path / "parts").mkdir(parents=True, exist_ok=True)
        write_text(path / "spec.toml", sweep.to_toml())
        write_manifest(path, manifest)
    except OSError as error:
        raise StoreError(f"out: cannot write to {str(path)!r}: {error.strerror or error}") from None


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
    write_text(path / "manifest.json", json.dumps({"schema": SCHEMA, **manifest}, indent=2) + "\n")


def write_part(path: Path, number: int, part: Part) -> None:
    """Write what a batch found; doing so again does no harm."""
    kinds = {name: (v.long_name, v.units, v.dims) for name, v in part.variables.items()}
    axes = {dim: np.asarray(v.coordinates[dim]).tolist() for v in part.variables.values() for dim in v.dims}
    about = np.frombuffer(json.dumps({"variables": kinds, "axes": axes}).encode(), np.uint8)
    arrays = {f"array.{name}": array for name, array in part.arrays.items()}
    status = {f"status.{name}": array for name, array in part.status.items()}
    place = path / "parts" / f"{number:06d}.npz"
    with tempfile.NamedTemporaryFile(dir=place.parent, suffix=".tmp", delete=False) as file:
        everything: dict[str, Any] = {"runs": part.runs, "steps": part.steps, "about": about, **arrays, **status}
        np.savez_compressed(file, **everything)
    os.replace(file.name, place)


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
        raise StoreError(f"{str(path)!r} is damaged: {error}") from None


def finish(path: Path, found: xr.Dataset, manifest: dict[str, Any]) -> None:
    """Write the results, then remove the parts."""
    temporary = path / "results.zarr.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    with warnings.catch_warnings():
        # Consolidated metadata is xarray's default to read and zarr's to warn of; it is what makes opening quick.
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        found.to_zarr(temporary, consolidated=True)
    os.replace(temporary, path / "results.zarr")
    write_manifest(path, manifest)
    shutil.rmtree(path / "parts", ignore_errors=True)


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
