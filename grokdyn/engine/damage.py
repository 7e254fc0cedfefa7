"""Results that were damaged on disk: found by checksums, named, and what is left of them read."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from grokdyn.engine.files import StoreError
from grokdyn.engine.results import MISSING


def checksums(folder: Path) -> dict[str, str]:
    """Return the CRC-32 of every file below a folder, by relative path."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): f"{zlib.crc32(file.read_bytes()):08x}" for file in files}


def read_results(path: Path, known: Mapping[str, Any], anyway: bool = False) -> xr.Dataset:
    """Return the results of a finished store.

    Args:
        known: its manifest, which has the checksums.
        anyway: what is damaged becomes nan, and the status of its runs that of missing ones.

    Raises:
        StoreError: if they are damaged, naming the files; with ``anyway`` if nothing can be read without those.
    """
    place = path / "results.zarr"
    expected = known.get("checksums", {}).get("results.zarr", {})
    present = checksums(place)
    broken = [name for name, sum in expected.items() if present.get(name) != sum]
    told = f"{len(broken)} of {len(expected)} files, such as {broken[0]}" if broken else ""
    try:
        if anyway:
            return undamaged(place, broken)
        if not broken:
            return xr.open_zarr(place).load()
    except Exception as error:  # zarr's errors on damage are of many kinds
        told = told or f"{type(error).__name__}: {error}"
    able = "nothing can be read without them; remove it" if anyway else "anyway=True (--anyway) reads the rest"
    raise StoreError(f"{str(place)!r} is damaged: {told}; {able}, and grokdyn resume trains again what is lost")


def undamaged(place: Path, broken: Collection[str]) -> xr.Dataset:
    """Return what can be read of results, chunk by chunk."""
    found = xr.open_dataset(place, engine="zarr", chunks=None)
    chunked = {name: dict(chunks(name, variable)) for name, variable in found.data_vars.items()}
    if not set(broken) <= {file for files in chunked.values() for file in files}:
        raise ValueError("coordinates or metadata are damaged")
    lost = np.zeros(found["status"].shape, bool)
    for name, files in chunked.items():
        array = found[name].variable
        values = np.full(array.shape, np.nan if array.dtype.kind == "f" else MISSING, array.dtype)
        for file, region in files.items():
            try:
                if file in broken:
                    raise ValueError("it is damaged")
                values[region] = array[region].values
            except Exception:  # of many kinds; without a checksum only reading tells
                lost[region[: lost.ndim]] = True
        found[name] = found[name].copy(data=values)
    found["status"].values[lost] = MISSING
    return found.load()


def chunks(name: Any, array: xr.DataArray) -> Iterator[tuple[str, tuple[slice, ...]]]:
    """Yield the file of every chunk of an array, and what part of the array it holds."""
    sizes = array.encoding["chunks"]
    for at in itertools.product(*(range(-(-n // size)) for n, size in zip(array.shape, sizes, strict=True))):
        region = tuple(slice(i * size, (i + 1) * size) for i, size in zip(at, sizes, strict=True))
        yield "/".join([str(name), "c", *map(str, at)]), region
