"""What a store holds, read and held against what its manifest knows; nothing is imported but to train or probe."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grokdyn.engine.host.say import say
from grokdyn.engine.store.damage import read_results
from grokdyn.engine.store.files import StoreError
from grokdyn.engine.store.grid import Grid, grid_of
from grokdyn.engine.store.lazy import StoredPart
from grokdyn.engine.store.manifest import versions
from grokdyn.engine.store.pieces import stored_part
from grokdyn.engine.store.regular import check_regular, read_text
from grokdyn.engine.store.results import dataset
from grokdyn.engine.store.seal import SEAL, broken
from grokdyn.engine.store.seal import session as is_session
from grokdyn.engine.store.seal import whole as whole_number
from grokdyn.engine.store.spec_text import MOST_TOLD, RESTORE, check_text, noted, same
from grokdyn.engine.store.states import GIVEN
from grokdyn.spec import toml
from grokdyn.spec.errors import SpecError
from grokdyn.spec.experiment import Experiment
from grokdyn.spec.imports import nothing_imported
from grokdyn.spec.paths import place_of
from grokdyn.spec.sweep import Sweep, decode

if TYPE_CHECKING:
    import xarray as xr

SCHEMA = 1
# What waits to be taken up: a store that somebody is extending.
EXTENSION = "extension"


def copy_of_manifest(path: Path) -> Path:
    """Return where an unfinished store keeps a copy: without the plan its parts and checkpoints would be lost."""
    return path / "parts" / "manifest.json"


def batches(path: Path) -> range:
    """Return the numbers of a store's batches."""
    return range(sum(cohort["batches"] for cohort in read_manifest(path)["cohorts"]))


def is_finished(path: str | Path) -> bool:
    """Return whether the results of a store are put together."""
    return os.path.isdir(os.path.join(path, "results.zarr"))


def read_spec(path: str | Path, anyway: bool = False, edited: bool = False) -> Sweep:
    """Return the sweep a store was made from, for training or probing: what it names is imported.

    Args:
        anyway: take what the manifest knows where the file is damaged or was changed.
        edited: take the file as it is, for one who compares.

    Raises:
        StoreError: if the folder is not a store, the spec is damaged or was changed, or names what is not there.
    """
    path = place_of(path)
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
    if (path / EXTENSION).is_dir() and "\n" in was:
        return was
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
    path = place_of(path)
    listed(path, "")  # told if it may not be looked into
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
    except (ValueError, RecursionError, FileNotFoundError) as error:  # a StoreError is a ValueError too
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
    found, files = [], []
    with suppress(StoreError):
        files = listed(path / "sessions", ".json")
    for file in files:
        # It is in the manifest by now, or damaged and not missed.
        with suppress(OSError, ValueError, RecursionError):
            note = json.loads(read_text(file, path))
            found += [note] if is_session(note) else []
    return found


def listed(folder: Path, suffix: str) -> list[Path]:
    """Return the files of a kind in a folder of a store, in order; none where it is not there.

    Raises:
        StoreError: if it cannot be looked into.
    """
    try:
        return sorted(folder / name for name in os.listdir(folder) if name.endswith(suffix))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StoreError(f"{str(folder)!r} cannot be read: {error.strerror or error}") from None


def axes(path: Path, known: Mapping[str, Any], anyway: bool = False) -> Sweep | Grid:
    """Return the axes of a store's sweep.

    Raises:
        StoreError: if an earlier version made the store, and only somebody's own code could tell them.
    """
    if "axes" in known:
        return grid_of(known)
    with nothing_imported():
        return read_spec(path, anyway)


def labelled(sweep: Sweep | Grid, text: str, found: Sequence[Any], keep: bool = True) -> xr.Dataset:
    """Return the Dataset of all parts with where it comes from.

    Args:
        text: of the spec.
        keep: as in ``dataset``.
    """
    return dataset(sweep, found, keep).assign_attrs(grokdyn=versions()["grokdyn"], spec=text)


def open_store(path: str | Path, anyway: bool = False) -> xr.Dataset:
    """Open the results of a store, also of one that is still being written.

    Args:
        anyway: leave out what is damaged, as if those runs were missing.

    Returns:
        The Dataset. Runs that are not there yet are nan with status -1; those in training hold what they have found at
        the last checkpoint, and have that status too.

        Results of up to 512 MiB are loaded, or up to a quarter of the memory that is free, if that is less. Of larger
        ones coordinates, status and the smallest variables are; the others are read from the store whenever they are
        used, as far as they are asked for: ``ds.train_loss.load()`` keeps one. They end with the store: where it is
        removed, or ``resume`` replaces its results, open it again.

    Raises:
        StoreError: if the folder is not a store or is damaged, naming the files.
    """
    path = place_of(path)
    known = read_manifest(path, anyway)
    text, place = spec_text(path, known, anyway), path / "results.zarr"
    if os.path.lexists(place) and not place.is_dir():
        raise StoreError(f"{str(place)!r} is damaged: it is no folder; remove it, and grokdyn resume makes it again")
    if not is_finished(path):
        with suppress(FileNotFoundError):  # another process has put the results together in between
            return placed(labelled(axes(path, known, anyway), text, list(parts(path, known, anyway))), path)
    if not os.path.lexists(path / "manifest.json"):
        say(f"{str(path / 'manifest.json')!r} is not there: results are read without their checksums")
    check_own(path, known)
    return placed(read_results(path, read_manifest(path, anyway), anyway), path)


def placed(found: xr.Dataset, path: Path) -> xr.Dataset:
    """Return results that know which store they are of, as those that xarray opens know their file."""
    found.encoding["source"] = str(path)
    return found


def check_own(path: Path, known: Mapping[str, Any]) -> None:
    """Raise StoreError if results that the manifest does not know yet are of another sweep."""
    if known.get("finished") or "spec" not in known:
        return
    file, text = path / "results.zarr" / "zarr.json", known["spec"]
    with suppress(FileNotFoundError, ValueError, TypeError, KeyError):  # damaged: that is told elsewhere
        text = json.loads(read_text(file, path))["attributes"]["spec"]
    if not same(noted(known, text), text):
        hint = "remove it, and grokdyn resume goes on"
        raise StoreError(f"{str(file.parent)!r} belongs to another sweep than this store; {hint}")


def parts(path: Path, known: dict[str, Any], anyway: bool) -> Iterator[StoredPart]:
    """Yield what batches in training have found so far, then what finished ones have."""
    for where, piece in (("checkpoints", "part so far"), ("parts", "part")):
        for file in listed(path / where, ".npz"):
            try:
                check_regular(file, path)
                yield stored_part(file, known, piece)
            except StoreError as error:
                if not anyway:
                    raise
                say(f"left out: {error}")
            except FileNotFoundError:  # the batch is finished, and in parts/ now
                if where == "parts":
                    raise
