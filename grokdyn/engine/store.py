"""The folder that a sweep writes.

``spec.toml`` and ``manifest.json`` are written first, a file in ``parts/`` after every batch, and ``results.zarr`` at
the end, when the parts go. Every file appears whole or not at all: it is written beside its place and renamed.
"""

from __future__ import annotations

import json
import os
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import xarray as xr
import zarr.codecs

from grokdyn.engine.damage import checksums, read_results
from grokdyn.engine.files import (
    OURS,
    StoreError,
    beside,
    make_folder,
    remove,
    remove_left,
    sync,
    sync_all,
    write_text,
    writing,
)
from grokdyn.engine.grid import Grid, grid_of
from grokdyn.engine.manifest import identity, versions
from grokdyn.engine.pieces import GIVEN, read_part, write_given
from grokdyn.engine.regular import read_text
from grokdyn.engine.results import Part, dataset
from grokdyn.engine.say import say
from grokdyn.engine.seal import SEAL, broken, sealed
from grokdyn.engine.seal import session as is_session
from grokdyn.engine.seal import whole as whole_number
from grokdyn.engine.spec_text import MOST_TOLD, RESTORE, check_text, noted, same
from grokdyn.spec import toml
from grokdyn.spec.errors import SpecError, shown
from grokdyn.spec.experiment import Experiment
from grokdyn.spec.paths import place_of
from grokdyn.spec.rules import nothing_imported
from grokdyn.spec.sweep import Sweep, decode
from grokdyn.train.start import Origin, Start

SCHEMA = 1
# What only an unfinished store needs.
SCAFFOLD = ("parts", "checkpoints", "sessions")
# What a finished one may have besides its results.
KEPT = ("snapshots", "probes", "figures")
# Letters that the name of the longest file in a store may need.
ROOM = 200


def create(path: Path, sweep: Sweep, start: Start | None, origin: Origin, manifest: dict[str, Any]) -> None:
    """Make the folder of a new store; it appears with its spec and manifest in it, or not at all.

    Raises:
        StoreError: if it exists and is not empty, or cannot be written; nothing is written then.
    """
    check_free(path)
    with writing(path):
        there = path.is_dir()  # empty; it may be a mount point, a link, the working directory, and stays what it is
        if not there:
            make_folder(path.parent, parents=True)
        with beside(path / "store" if there else path.with_name(f".{path.name}"), folder=True) as made:
            write_text(made / "spec.toml", sweep.to_toml())
            manifest = {**manifest, "given": write_given(made, start, origin)}
            unsettle(made, {**manifest, "identity": identity(manifest)})
            if there:
                move_into(made, path)
            else:
                os.replace(made, path)
                sync(path.parent)
    remove_left(path)


def move_into(made: Path, path: Path) -> None:
    """Move what a new store is made of into an empty folder.

    The first that moves is a folder that is not empty: of several processes only one can. It holds a copy of the
    manifest, so that what is there is a store from then on. The last is the spec.
    """
    names = sorted((file.name for file in made.iterdir()), key=lambda name: (name != "parts", name == "spec.toml"))
    for name in names:
        os.replace(made / name, path / name)
    sync(path)


def check_free(path: Path) -> None:
    """Raise StoreError unless the folder is empty or absent and could be written."""
    try:
        told = reason_not_free(path)
    except OSError as error:  # a name that is too long, links in a circle, a parent that may not be looked into
        told = f"{shown(str(path))} cannot be a folder: {error.strerror}"
    if told:
        raise StoreError(f"out: {told}")


def reason_not_free(path: Path) -> str:
    """Return why a store cannot be made at a place, or nothing."""
    allowed = "allowed: a folder that is empty or does not exist yet"
    with suppress(FileNotFoundError, NotADirectoryError):
        os.lstat(path / ("x" * ROOM))
    if os.path.lexists(path) and not path.is_dir():
        return f"{str(path)!r} is a {'file' if path.exists() else 'link to nothing'}; {allowed}"
    if path.is_dir() and any(not OURS.fullmatch(file.name) for file in path.iterdir()):
        other = f", or: grokdyn resume {path}" if (path / "spec.toml").is_file() else ""
        return f"{str(path)!r} is not empty; {allowed}{other}"
    parent = next(p for p in (path, *path.absolute().parents) if p.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        return f"{str(parent)!r} cannot be written; allowed: a folder that you may write"
    return ""


def write_manifest(path: Path, manifest: dict[str, Any]) -> None:
    entries = sealed({**manifest, "schema": SCHEMA})
    write_text(path / "manifest.json", json.dumps(entries, indent=2) + "\n")


def copy_of_manifest(path: Path) -> Path:
    """Return where an unfinished store keeps a copy: without the plan its parts and checkpoints would be lost."""
    return path / "parts" / "manifest.json"


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
    settle(path)


def write_dataset(path: Path, place: Path, found: xr.Dataset, over: bool = True) -> None:
    """Write a Dataset into a store whole or not at all; one that is there already goes, or stays."""
    # The compressor's checksum finds damage on reading.
    packed = {name: {"compressors": [zarr.codecs.ZstdCodec(level=3, checksum=True)]} for name in found.variables}
    with writing(path):
        make_folder(place.parent)
        with beside(place, folder=True) as made, warnings.catch_warnings():
            # Consolidated metadata is xarray's default to read and zarr's to warn of; it makes opening quick.
            warnings.filterwarnings("ignore", message="Consolidated metadata")
            found.to_zarr(made, consolidated=True, encoding=packed)
            take_place(made, place, over)


def take_place(made: Path, place: Path, over: bool) -> None:
    """Put a folder that is complete into its place, on the disk; one that is there already goes, or stays."""
    sync_all(made)
    with ExitStack() as stack:
        if over and place.is_dir():
            os.replace(place, stack.enter_context(beside(place, folder=True)))
        if not place.is_dir():
            os.replace(made, place)
            sync(place.parent)


def note_session(path: Path, session: dict[str, Any]) -> None:
    """Note what one session of training took, in a file of its own: several may end at once."""
    name = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"
    with suppress(OSError):  # a full disk: what made the session end is told, its length is not missed
        (path / "sessions").mkdir(exist_ok=True)
        write_text(path / "sessions" / f"{name}.json", json.dumps({"name": name, **session}))


def settle(path: Path) -> None:
    """Note that a store is finished, and remove what only an unfinished one needs."""
    known = read_manifest(path)
    with writing(path):
        if not known.get("finished"):
            sums = {"results.zarr": checksums(path / "results.zarr")}
            write_manifest(path, {**known, "finished": True, "checksums": sums})
        restore_spec(path, known)
    for name in SCAFFOLD:
        remove(path / name)
    for folder in (path, *(path / name for name in KEPT)):
        remove_left(folder)


def unsettle(path: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest of a store that has batches to train, and its copy."""
    copy_of_manifest(path).parent.mkdir(exist_ok=True)
    made = {name: value for name, value in manifest.items() if name != "checksums"}
    write_manifest(path, {**made, "finished": False})
    write_text(copy_of_manifest(path), (path / "manifest.json").read_text())


def restore_spec(path: Path, known: dict[str, Any]) -> None:
    """Write a spec that is not there again, from what the manifest knows."""
    if not (path / "spec.toml").is_file() and "\n" in known.get("spec", ""):
        write_text(path / "spec.toml", known["spec"])


def read_spec(path: str | Path, anyway: bool = False, edited: bool = False) -> Sweep:
    """Return the sweep a store was made from, for training or probing: what it names is imported.

    Args:
        anyway: take what the manifest knows where the file is damaged or was changed.
        edited: take the file as it is, for one who compares.

    Raises:
        StoreError: if the folder is not a store, the spec is damaged or was changed, or names what is not there.
    """
    path = Path(path)
    known, file = read_manifest(path, anyway), path / "spec.toml"
    text = spec_text(path, known, anyway, edited)
    try:
        found = decode(toml.loads(text))
    except SpecError as error:
        if "spec" in known and same(noted(known, text), text):
            hint = f"training and probing need it, results can be opened without: gd.open({str(path)!r})"
            raise StoreError(f"{str(file)!r} cannot be taken up here: {error}; {hint}") from None
        raise StoreError(f"{str(file)!r} is damaged: {error}; {RESTORE}") from None
    return Sweep(found, {}) if isinstance(found, Experiment) else found


def spec_text(path: Path, known: Mapping[str, Any], anyway: bool = False, edited: bool = False) -> str:
    """Return the text of the spec a store was made from; nothing that it names is imported.

    Args:
        known: the store's manifest, against which the file is held.
        anyway, edited: as in ``read_spec``.

    Raises:
        StoreError: if the folder is not a store, or the text is damaged or was changed.
    """
    file, was = path / "spec.toml", known.get("spec", "")
    try:
        text = read_text(file, path)
        if not edited:
            check_text(file, known, text, is_finished(path))
            return noted(known, text)  # without comments, if somebody added some
    except FileNotFoundError:
        if "\n" in was:
            return was
        raise not_a_store(path) from None
    except StoreError:
        if not anyway or "\n" not in was:
            raise
        return was
    return text


def not_a_store(path: Path) -> StoreError:
    return StoreError(f"{str(path)!r} is not a store; allowed: a folder written by grokdyn run")


def read_manifest(path: str | Path, anyway: bool = False) -> dict[str, Any]:
    """Return how a store was made, and what its sessions took.

    Args:
        anyway: leave out the entries that are damaged, all of them where it cannot be read.

    Raises:
        StoreError: if it is not there, is damaged or was changed, or a newer version has written the store.
    """
    path = Path(path)
    noted = sessions(path)  # before the manifest: settling writes them into it, then removes them
    file, copy = path / "manifest.json", copy_of_manifest(path)
    if not os.path.lexists(file):
        if not os.path.lexists(copy):
            if is_finished(path):
                return {"finished": True, "sessions": noted}
            lost = StoreError(f"{str(file)!r} is not there: how the runs of this store were batched is lost")
            raise lost if os.path.lexists(path / "spec.toml") else not_a_store(path)
        file = copy
    known = manifest_in(file, path, anyway)
    told = known.get("sessions", [])
    return {**known, "sessions": told + [session for session in noted if session not in told]}


def is_sound(path: Path) -> bool:
    """Return whether the manifest of a store can be read and is as it was written."""
    with suppress(StoreError):
        read_manifest(path)
        return True
    return False


def manifest_in(file: Path, path: Path, anyway: bool) -> dict[str, Any]:
    """Return what a manifest says, checked entry by entry, without its own checksums."""
    try:
        known = json.loads(read_text(file, path))
        wrong = broken(known) if isinstance(known, dict) else ["all of it"]
        told = f"is damaged or was changed: {', '.join(wrong[:MOST_TOLD])}" if wrong else ""
    except (ValueError, RecursionError) as error:  # a StoreError is a ValueError too
        if isinstance(error, StoreError) and not anyway:
            raise
        known, wrong, told = {}, [], f"cannot be read: {error}"
    if isinstance(known, dict) and whole_number(known.get("schema")) and known["schema"] > SCHEMA:
        allowed = f"allowed: up to {SCHEMA}, or a newer grokdyn"
        raise StoreError(f"{str(file)!r}: got schema {known['schema']}; {allowed}")
    if told and not anyway:
        copy = copy_of_manifest(path)
        instead = "its copy takes its place" if copy.is_file() else "the results can be read without it"
        hint = f"; remove it, and {instead}" if file != copy and (copy.is_file() or is_finished(path)) else ""
        raise StoreError(f"{str(file)!r} {told}{hint}")
    entries = known if isinstance(known, dict) else {}
    sound = {name: value for name, value in entries.items() if name != SEAL and name not in wrong}
    # What runs began from is not to be guessed: no file has an empty checksum.
    return {**sound, "given": dict.fromkeys(GIVEN, "")} if "given" in wrong else sound


def sessions(path: Path) -> list[dict[str, Any]]:
    """Return the sessions that the manifest does not hold yet."""
    found = []
    for file in sorted((path / "sessions").glob("*.json")):
        # It is in the manifest by now, or damaged and not missed.
        with suppress(OSError, ValueError, RecursionError):
            note = json.loads(read_text(file, path))
            found += [note] if is_session(note) else []
    return found


def axes(path: Path, known: Mapping[str, Any], anyway: bool = False) -> Sweep | Grid:
    """Return the axes of a store's sweep.

    Raises:
        StoreError: if an earlier version made the store, and only somebody's own code could tell them.
    """
    if "axes" in known:
        return grid_of(known)
    with nothing_imported():
        return read_spec(path, anyway)


def labelled(sweep: Sweep | Grid, text: str, found: Sequence[Part]) -> xr.Dataset:
    """Return the Dataset of all parts with where it comes from.

    Args:
        text: of the spec.
    """
    return dataset(sweep, found).assign_attrs(grokdyn=versions()["grokdyn"], spec=text)


def open_store(path: str | Path, anyway: bool = False) -> xr.Dataset:
    """Open the results of a store, also of one that is still being written.

    Args:
        anyway: leave out what is damaged, as if those runs were missing.

    Returns:
        The Dataset, loaded. Runs that are not there yet are nan with status -1; those in training hold what they have
        found at the last checkpoint, and have that status too.

    Raises:
        StoreError: if the folder is not a store or is damaged, naming the files.
    """
    path = place_of(path)
    known = read_manifest(path, anyway)
    text = spec_text(path, known, anyway)
    if not is_finished(path):
        with suppress(FileNotFoundError):  # another process has put the results together in between
            return labelled(axes(path, known, anyway), text, list(parts(path, known, anyway)))
    if not os.path.lexists(path / "manifest.json"):
        say(f"{str(path / 'manifest.json')!r} is not there: results are read without their checksums")
    return read_results(path, read_manifest(path, anyway), anyway)


def parts(path: Path, known: dict[str, Any], anyway: bool) -> Iterator[Part]:
    """Yield what batches in training have found so far, then what finished ones have."""
    for where, piece in (("checkpoints", "part so far"), ("parts", "part")):
        for file in sorted((path / where).glob("*.npz")):
            try:
                yield read_part(file, known, piece)
            except StoreError:
                if not anyway:
                    raise
            except FileNotFoundError:  # the batch is finished, and in parts/ now
                if where == "parts":
                    raise
