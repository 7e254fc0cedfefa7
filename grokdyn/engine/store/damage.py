"""Results that were damaged on disk: found by checksums, named, and what is left of them read."""

from __future__ import annotations

import itertools
import os
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grokdyn.engine.host.say import say
from grokdyn.engine.store.files import StoreError
from grokdyn.engine.store.grid import told_by_spec
from grokdyn.engine.store.layout import MISSING, STATUS, labelled
from grokdyn.engine.store.lazy import partly_loaded
from grokdyn.engine.store.metadata import FILE, OLD_NAMES, Metadata, gathered
from grokdyn.engine.store.regular import UNREADABLE, irregular, read_bytes

if TYPE_CHECKING:
    import xarray as xr

    from grokdyn.engine.store.checked import Checked

# So many values of coordinates a manifest keeps a copy of.
MOST_NOTED = 100_000
MOST_TOLD = 3
AGAIN = "grokdyn resume trains again what is lost"


class DamageError(StoreError):
    """Results that are not as they were written: training can bring back what is lost."""


@dataclass
class Seen:
    """What lies in the folder of results.

    Attributes:
        place: the folder.
        root: the store.
        files: path -> file that may be read.
        broken: path -> why its file is not read; an empty word where it is damaged or not there.
        count: files that there should be.
    """

    place: Path
    root: Path
    files: dict[str, Path]
    broken: dict[str, str]
    count: int

    def metadata(self, known: Mapping[str, Any]) -> Metadata:
        """Return what describes the arrays, from their own files, all together or a manifest."""
        files = {name: file for name, file in self.files.items() if name == FILE or name.endswith(f"/{FILE}")}
        texts = {name: read_bytes(file, self.root) for name, file in files.items()}
        return gathered(texts, known.get("results", {}).get("metadata", {}))

    def store(self, metadata: Metadata) -> Checked:
        from grokdyn.engine.store.checked import Checked

        chunks = {name: file for name, file in self.files.items() if not name.endswith(FILE)}
        return Checked(metadata.texts(), chunks, self.root)


def checksums(folder: Path) -> dict[str, str]:
    """Return the CRC-32 of every file below a folder, by relative path."""
    return {name: checksum(file) for name, file in listed(folder).items() if not irregular(file, folder)}


def checksum(file: Path) -> str:
    """Return the CRC-32 of a file."""
    found = 0
    with open(file, "rb") as opened:
        while block := opened.read(2**20):
            found = zlib.crc32(block, found)
    return f"{found:08x}"


def listed(folder: Path, anyway: bool = False) -> dict[str, Path]:
    """Return all below a folder that is no folder, by relative path; links are not followed.

    Raises:
        StoreError: if a folder may not be looked into; with ``anyway`` nothing is in it.
    """

    def refused(error: OSError) -> None:
        if not anyway:
            raise StoreError(f"{error.filename!r} cannot be read: {error.strerror}")

    found = {}
    for inside, folders, names in os.walk(folder, onerror=refused):
        links = [name for name in folders if os.path.islink(os.path.join(inside, name))]
        for name in (*names, *links):
            file = Path(inside) / name
            found[file.relative_to(folder).as_posix()] = file
    return dict(sorted(found.items()))


def looked_at(place: Path, root: Path, expected: Mapping[str, str], anyway: bool = False) -> Seen:
    """Return what lies in the folder of results, each file held against its checksum where there is one."""
    if os.path.islink(place) and irregular(place, root) != "a folder":
        raise StoreError(f"{str(place)!r} is {irregular(place, root)}; allowed: a folder in the store")
    present = listed(place, anyway)
    if any(os.path.basename(name) in OLD_NAMES for name in present) and FILE not in present:
        raise StoreError(f"{str(place)!r} is in an older format of zarr, which can hold code; allowed: format 3")
    found = Seen(place, root, {}, {}, len(expected or present))
    for name in expected or present:
        file = present.get(name, place / name)
        if told := irregular(file, root):
            found.broken[name] = told
            continue
        try:
            if name not in present or (expected and checksum(file) != expected[name]):
                found.broken[name] = ""
            else:
                found.files[name] = file
        except OSError as error:
            found.broken[name] = f"{UNREADABLE}{error.strerror}"
    return found


def read_results(path: Path, known: Mapping[str, Any], anyway: bool = False) -> xr.Dataset:
    """Return the results of a finished store.

    Args:
        known: its manifest, which has the checksums, and copies of what is needed to read the rest.
        anyway: what is damaged becomes nan, and the status of its runs that of missing ones.

    Raises:
        StoreError: if they are damaged, naming the files; with ``anyway`` if nothing can be read without those.
    """
    place = path / "results.zarr"
    seen = looked_at(place, path, known.get("checksums", {}).get("results.zarr", {}), anyway)
    told = ""
    if seen.broken:
        first, why = next(iter(seen.broken.items()))
        told = f"{len(seen.broken)} of {seen.count} files, such as {first}" + (f" ({why})" if why else "")
    if not anyway and any(why.startswith(UNREADABLE) for why in seen.broken.values()):
        raise StoreError(f"{str(place)!r} cannot be read: {told}; allowed: files that you may read")
    metadata = seen.metadata(known)
    try:
        if anyway:
            return undamaged(seen, metadata, known)
        told = told or next(iter([*metadata.refused.values(), *metadata.doubts]), "")
        if not told and metadata.attributes is not None:
            return partly_loaded(opened(seen.store(metadata)), place)
        told = told or "nothing says what it holds"
    except Exception as error:  # zarr's errors on damage are of many kinds
        told = told or f"{type(error).__name__}: {error}"
    able = "nothing can be read without them; remove it" if anyway else "anyway=True (--anyway) reads the rest"
    raise DamageError(f"{str(place)!r} is damaged: {told}; {able}, and {AGAIN}")


def opened(store: Checked, without: Any = ()) -> xr.Dataset:
    """Return arrays as a Dataset that reads them when they are asked for."""
    import xarray as xr

    found = xr.open_dataset(
        store,  # pyright: ignore[reportArgumentType]
        engine="zarr",
        chunks=None,
        cache=False,
        drop_variables=list(without),
        consolidated=True,
        zarr_format=3,
    )
    named = found.attrs.get("axes", "")
    return found.assign_attrs(axes=named if isinstance(named, str) else " ".join(named))  # an earlier version's list


def undamaged(seen: Seen, metadata: Metadata, known: Mapping[str, Any]) -> xr.Dataset:
    """Return what can be read of results, chunk by chunk; what cannot is told."""
    store, files = seen.store(metadata), {name: dict(chunks(name, told)) for name, told in metadata.arrays.items()}
    lost_of = {name: {file for file in its if file in seen.broken} for name, its in files.items()}
    found = with_labels(store, metadata, known, {name for name, broken in lost_of.items() if broken})
    lost = np.full(found["status"].shape, bool(metadata.refused))
    damaged = set(metadata.refused) | {*STATUS} - {*metadata.arrays}
    for name in map(str, found.data_vars):
        array = found[name].variable
        values = np.full(array.shape, np.nan if array.dtype.kind == "f" else MISSING, array.dtype)
        for file, region in files.get(name, {}).items():
            try:
                if file in lost_of[name]:
                    raise ValueError("it is damaged")
                values[region] = array[region].values
            except Exception:  # of many kinds; without a checksum only reading tells
                damaged.add(name)
                lost[region[: lost.ndim]] = True
        found[name] = found[name].copy(data=values)
    found["status"].values[lost] = MISSING
    if damaged:
        say(f"{str(seen.place)!r}: left out what is damaged of {', '.join(sorted(damaged))}")
    return found.load()


def with_labels(store: Checked, metadata: Metadata, known: Mapping[str, Any], broken: Collection[str]) -> xr.Dataset:
    """Return arrays that are read when they are asked for, with coordinates that are whole or made anew.

    Args:
        broken: arrays that are damaged in part.
    """
    names = {name for name, told in metadata.arrays.items() if told.get("dimension_names") == [name]}
    found = opened(store, names)
    told = told_by(known)
    for name in {*names, *map(str, found.sizes)}:
        label = None
        with suppress(Exception):  # of many kinds; then what the manifest knows
            label = None if name in broken else opened(store, {*metadata.arrays} - {name})[name].load().variable
        size = found.sizes.get(name, metadata.arrays.get(name, {}).get("shape", [0])[0])
        if label is None:
            values = labelled(told.get(name, ()))
            if len(values) != size:
                raise ValueError(f"the coordinate {name}")
            kept = {**metadata.arrays.get(name, {}).get("attributes", {})}
            kept.pop("_FillValue", None)
            import xarray as xr

            label = xr.Variable((name,), values, kept)
        found = found.assign_coords({name: label})
    if metadata.attributes is None:
        sums = {name: known[name] for name in ("grokdyn", "spec") if name in known}
        found.attrs = {"axes": " ".join(swept(known)), **sums}
    axes = tuple(found.attrs["axes"].split())
    for name in {*STATUS} - {*map(str, found.data_vars)}:
        found[name] = (axes, np.full([found.sizes[axis] for axis in axes], MISSING), {"long_name": STATUS[name]})
    return found


def told_by(known: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the values of coordinates that a manifest knows."""
    steps = told_by_spec(known.get("spec", "")) if "results" not in known else {}
    return {**swept(known), **steps, **known.get("results", {}).get("coordinates", {})}


def swept(known: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the values of the axes that a manifest knows, in their order."""
    if "axes" in known:
        return {axis["name"]: axis["values"] for axis in known["axes"]}
    return {name: values for name, values in told_by_spec(known.get("spec", "")).items() if name != "step"}


def noted(path: Path) -> dict[str, Any]:
    """Return what the manifest of a store notes of its results: checksums, and copies of what the rest needs."""
    place = path / "results.zarr"
    sums = checksums(place)
    seen = looked_at(place, path, {})
    metadata = seen.metadata({})
    found = opened(seen.store(metadata))
    sizes = {str(name): array.size for name, array in found.coords.items()}
    few = [name for name, size in sizes.items() if size <= MOST_NOTED]
    copies = {"attributes": metadata.attributes, "arrays": metadata.arrays}
    coordinates = {name: found[name].values.tolist() for name in few}
    return {"checksums": {"results.zarr": sums}, "results": {"metadata": copies, "coordinates": coordinates}}


def chunks(name: str, told: Mapping[str, Any]) -> Iterator[tuple[str, tuple[slice, ...]]]:
    """Yield the file of every chunk of an array, and what part of the array it holds.

    Args:
        told: the array's metadata.
    """
    shape, sizes = told["shape"], told["chunk_grid"]["configuration"]["chunk_shape"]
    for at in itertools.product(*(range(-(-n // size)) for n, size in zip(shape, sizes, strict=True))):
        region = tuple(slice(i * size, (i + 1) * size) for i, size in zip(at, sizes, strict=True))
        yield "/".join([name, "c", *map(str, at)]), region
