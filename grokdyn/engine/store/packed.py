"""A Dataset written into a zarr folder: at once where it is small, else a variable at a time in bounded memory."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
import zarr.codecs

from grokdyn.engine.host.memory import available
from grokdyn.engine.store.lazy import LOADED_BYTES

# Bytes of a chunk of a large variable.
CHUNK_BYTES = 2**24
# The compressor's checksum finds damage on reading.
PACKED: dict[str, Any] = {"compressors": [zarr.codecs.ZstdCodec(level=3, checksum=True)]}


def write(place: Path, found: xr.Dataset) -> None:
    """Write a Dataset into an empty folder: at once what is in memory, in pieces what is to be read first."""
    large = [name for name, array in found.data_vars.items() if not array.variable._in_memory]
    small = found.drop_vars(large)
    with warnings.catch_warnings():
        # Consolidated metadata is xarray's default to read and zarr's to warn of; it makes opening quick.
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        small.to_zarr(place, consolidated=not large, encoding=dict.fromkeys(small.variables, PACKED))
        for name in large:
            write_large(place, found[name], found.attrs)
        if large:
            zarr.consolidate_metadata(place)


def block_bytes() -> int:
    """Return the bytes that are read and written at a time."""
    return max(CHUNK_BYTES, min(LOADED_BYTES // 2, available() // 8))


def write_large(place: Path, array: xr.DataArray, attributes: dict[Any, Any]) -> None:
    """Write a variable in pieces of whole chunks, described as xarray describes one: it writes a single number.

    Args:
        attributes: of the Dataset.
    """
    chunks = chunk_shape(array.shape, CHUNK_BYTES // array.dtype.itemsize)
    nothing = np.nan if array.dtype.kind == "f" else 0
    one = xr.Variable(array.dims, np.full([1] * array.ndim, nothing, array.dtype), array.attrs)
    encoding = {array.name: {**PACKED, "chunks": chunks}}
    xr.Dataset({array.name: one}, attrs=attributes).to_zarr(place, mode="a", consolidated=False, encoding=encoding)
    target: Any = zarr.open_array(place / str(array.name), mode="r+")
    target.resize(array.shape)
    for region in regions(array.shape, block_shape(array.shape, chunks, block_bytes() // array.dtype.itemsize)):
        target[region] = array.variable[region].values


def chunk_shape(shape: Sequence[int], numbers: int) -> tuple[int, ...]:
    """Return the shape of chunks of at most so many numbers: the last axes whole, then one cut, then single places.

    A run's numbers then lie together, and those of runs that follow each other.
    """
    left, found = numbers, []
    for size in reversed(shape):
        found.append(max(1, min(size, left)))
        left = left // size if found[-1] == size else 1
    return tuple(reversed(found))


def block_shape(shape: Sequence[int], chunks: Sequence[int], numbers: int) -> tuple[int, ...]:
    """Return the shape of blocks of whole chunks, of at most so many numbers unless a chunk has more."""
    found = zip(shape, chunks, chunk_shape(shape, numbers), strict=True)
    return tuple(size if block == size else max(chunk, block // chunk * chunk) for size, chunk, block in found)


def regions(shape: Sequence[int], blocks: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    """Yield where every block lies in an array."""
    for at in np.ndindex(*(math.ceil(size / block) for size, block in zip(shape, blocks, strict=True))):
        yield tuple(slice(i * block, (i + 1) * block) for i, block in zip(at, blocks, strict=True))
