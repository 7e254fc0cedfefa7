"""Results that stay on the disk until they are asked for, because together they are large."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grokdyn.engine.host.memory import available
from grokdyn.engine.store.files import StoreError, regular
from grokdyn.engine.store.layout import Layout, places
from grokdyn.probes.base import Variable

if TYPE_CHECKING:
    import xarray as xr

# Results up to so large are put together and kept in memory, where there is plenty.
LOADED_BYTES = 2**29


def fits(nbytes: int) -> bool:
    """Return whether something is small enough to be taken into memory as a whole without being asked for."""
    return nbytes <= room()


def room() -> int:
    """Return the most bytes that are taken into memory without being asked for."""
    return min(LOADED_BYTES, available() // 4)


@dataclass(frozen=True)
class StoredPart:
    """What one batch found, as ``results.Part``, with its arrays in a file."""

    place: Path
    runs: np.ndarray
    steps: np.ndarray
    variables: dict[str, Variable]
    status: dict[str, np.ndarray]

    def array(self, name: str) -> np.ndarray:
        """Return the array of a variable.

        Raises:
            StoreError: if the file is damaged. One that is gone raises FileNotFoundError.
        """
        with regular(self.place) as file:
            try:
                with np.load(file) as found:
                    return found[f"array.{name}"]
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
                raise StoreError(f"{str(self.place)!r} has become damaged ({error})") from None


def lazily(layout: Layout, parts: Sequence[Any], name: str) -> Any:
    """Return an array over the axes of a sweep for xarray, which reads from parts what is asked of it."""

    swept = len(layout.sweep.shape)
    grid = np.arange(layout.sweep.size).reshape(tuple(layout.sweep.shape.values()))

    def read(key: tuple[Any, ...]) -> np.ndarray:
        numbers = taken(grid, key[:swept])
        found = np.full((numbers.size, *layout.row(name)), np.nan)
        at = np.full(layout.sweep.size, -1)
        at[numbers.ravel()] = np.arange(numbers.size)
        for part in parts:
            wanted = at[part.runs] >= 0
            if name in part.variables and wanted.any():
                index = places(at[part.runs[wanted]], part.steps, part.variables[name], layout.coordinates)
                found[index] = part.array(name)[wanted]
        return taken(found.reshape(*numbers.shape, *found.shape[1:]), key[swept:], numbers.ndim)

    def told(key: tuple[Any, ...]) -> np.ndarray:
        try:
            return read(key)
        except FileNotFoundError:
            raise StoreError("the store has been finished since it was opened; open it again") from None

    from grokdyn.engine.store.asked import Asked

    return Asked.of(layout.shape(name), np.dtype(np.float64), told)


def partly_loaded(found: xr.Dataset, place: Path) -> xr.Dataset:
    """Return results that were opened lazily in memory where they are small, else the small variables of them.

    The others are read whenever they are used, and not kept: what is done to one variable after the other takes the
    memory of one.

    Args:
        place: the folder that they lie in.
    """
    import xarray as xr

    from grokdyn.engine.store.asked import Asked

    known, most, size = identity(place), room(), 0
    for name in sorted(found.data_vars, key=lambda name: found[name].nbytes):
        size += found[name].nbytes
        if size <= most:
            found[name].load()
        else:
            variable = found[name].variable
            data = Asked.of(variable.shape, variable.dtype, guarded(place, known, variable))
            found[name] = xr.Variable(variable.dims, data, variable.attrs, variable.encoding)
    return found


def in_memory(found: xr.Dataset) -> bool:
    """Return whether all of a Dataset is loaded."""
    return all(variable._in_memory for variable in found.variables.values())


def guarded(place: Path, known: Any, variable: xr.Variable) -> Callable[[tuple[Any, ...]], np.ndarray]:
    """Return how to read from a variable of a folder: what is not there any more would come out as nan."""

    def read(key: tuple[Any, ...]) -> np.ndarray:
        try:
            values = variable[key].values
        except Exception as error:  # zarr's errors on damage are of many kinds
            raise StoreError(f"{str(place)!r} has become damaged ({type(error).__name__}: {error})") from None
        if identity(place) != known:
            raise StoreError(f"{str(place)!r} is not what was opened any more; open the store again")
        return values

    return read


def identity(place: Path) -> Any:
    """Return what tells a folder from another in its place."""
    try:
        found = os.stat(place)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def taken(array: np.ndarray, key: Sequence[Any], first: int = 0) -> np.ndarray:
    """Return what an outer index, a number, slice or list for every axis from the first on, takes from an array."""
    for i in reversed(range(len(key))):
        array = array[(*[slice(None)] * (first + i), key[i])]
    return array
