"""The folder that a sweep writes.

``spec.toml`` and ``manifest.json`` are written first, a file in ``parts/`` after every batch, and ``results.zarr`` at
the end, when the parts go. Every file appears whole or not at all: it is written beside its place and renamed.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
import uuid
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import xarray as xr
import zarr.codecs

from grokdyn.engine.files import StoreError, write_text, writing
from grokdyn.engine.pieces import read_part, write_origin, write_start
from grokdyn.engine.results import dataset
from grokdyn.spec import toml
from grokdyn.spec.experiment import Experiment
from grokdyn.spec.sweep import Sweep, decode
from grokdyn.train.start import Origin, Start

SCHEMA = 1


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


def check_free(path: Path) -> None:
    """Raise StoreError unless the folder is empty or absent and could be written."""
    if path.exists() and not path.is_dir():
        raise StoreError(f"out: {str(path)!r} is a file; allowed: a folder that is empty or does not exist yet")
    if path.is_dir() and any(path.iterdir()):
        raise StoreError(f"out: {str(path)!r} is not empty; allowed: a folder that is empty or does not exist yet")
    parent = next(p for p in (path, *path.absolute().parents) if p.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise StoreError(f"out: {str(parent)!r} cannot be written; allowed: a folder that you may write")


def write_manifest(path: Path, manifest: dict[str, Any]) -> None:
    write_text(path / "manifest.json", json.dumps({**manifest, "schema": SCHEMA}, indent=2) + "\n")


def batches(path: Path) -> range:
    """Return the numbers of a store's batches."""
    return range(sum(cohort["batches"] for cohort in read_manifest(path)["cohorts"]))


def is_finished(path: str | Path) -> bool:
    """Return whether the results of a store are put together."""
    return (Path(path) / "results.zarr").is_dir()


def finish(path: Path, found: xr.Dataset) -> None:
    """Write the results, then remove the parts. Of several processes that do so at once the first is heard.

    Raises:
        StoreError: if they cannot be written; the parts stay, and resuming writes the results from them.
    """
    write_dataset(path, path / "results.zarr", found, over=False)
    with writing(path):
        settle(path)


def write_dataset(path: Path, place: Path, found: xr.Dataset, over: bool = True) -> None:
    """Write a Dataset into a store whole or not at all; one that is there already goes, or stays."""
    temporary = place.with_name(f"{place.name}.{uuid.uuid4().hex}.tmp")
    # The compressor's checksum finds damage on reading.
    packed = {name: {"compressors": [zarr.codecs.ZstdCodec(level=3, checksum=True)]} for name in found.variables}
    with writing(path):
        try:
            with warnings.catch_warnings():
                # Consolidated metadata is xarray's default to read and zarr's to warn of; it makes opening quick.
                warnings.filterwarnings("ignore", message="Consolidated metadata")
                found.to_zarr(temporary, consolidated=True, encoding=packed)
            if over and place.is_dir():
                shutil.rmtree(place)
            if not place.is_dir():
                os.replace(temporary, place)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def note_session(path: Path, session: dict[str, Any]) -> None:
    """Note what one session of training took, in a file of its own: several may end at once."""
    name = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"
    with writing(path):
        (path / "sessions").mkdir(exist_ok=True)
        write_text(path / "sessions" / f"{name}.json", json.dumps({"name": name, **session}))


def settle(path: Path) -> None:
    """Note that a store is finished, and remove what only an unfinished one needs."""
    known = read_manifest(path)
    if not known.get("finished"):
        write_manifest(path, {**known, "finished": True})
    for name in ("parts", "checkpoints", "sessions"):
        shutil.rmtree(path / name, ignore_errors=True)
    for left in path.glob("*.tmp"):
        shutil.rmtree(left, ignore_errors=True)


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
    """Return how a store was made, and what its sessions took."""
    noted = sessions(Path(path))  # before the manifest: settling writes them into it, then removes them
    try:
        known = json.loads((Path(path) / "manifest.json").read_text())
        told = known.get("sessions", [])
        return {**known, "sessions": told + [session for session in noted if session not in told]}
    except (OSError, ValueError) as error:
        raise StoreError(f"{str(Path(path) / 'manifest.json')!r} cannot be read: {error}") from None


def sessions(path: Path) -> list[dict[str, Any]]:
    """Return the sessions that the manifest does not hold yet."""
    found = []
    for file in sorted((path / "sessions").glob("*.json")):
        with suppress(FileNotFoundError):  # it is in the manifest by now
            found.append(json.loads(file.read_text()))
    return found


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
