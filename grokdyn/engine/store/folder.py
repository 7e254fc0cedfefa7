"""The folder that a sweep writes.

``spec.toml`` and ``manifest.json`` are written first, a file in ``parts/`` after every batch, and ``results.zarr`` at
the end, when the parts go. Every file appears whole or not at all: it is written beside its place and renamed.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grokdyn.engine.store.damage import noted
from grokdyn.engine.store.files import (
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
from grokdyn.engine.store.manifest import identity
from grokdyn.engine.store.reading import SCHEMA, copy_of_manifest, read_manifest
from grokdyn.engine.store.regular import read_text
from grokdyn.engine.store.seal import sealed
from grokdyn.engine.store.spec_text import same
from grokdyn.engine.store.states import write_given
from grokdyn.spec.errors import shown
from grokdyn.spec.sweep import Sweep
from grokdyn.train.origin import Origin
from grokdyn.train.start import Start

if TYPE_CHECKING:
    import xarray as xr

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
        new = path / "store" if there else path.with_name(f".{path.name}")
        remove_left(new.parent, new.name)
        with beside(new, folder=True) as made:
            write_text(made / "spec.toml", sweep.to_toml())
            manifest = {**manifest, "given": write_given(made, start, origin)}
            manifest |= {"parent": dict(origin.note)} if origin.note else {}
            unsettle(made, {**manifest, "identity": identity(manifest)})
            if there:
                move_into(made, path)
            else:
                os.replace(made, path)
                sync(path.parent)


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


def check_clear(path: Path) -> None:
    """Raise StoreError if something else is where a store has a folder: that is told before training."""
    for name in ("results.zarr", *SCAFFOLD, *KEPT):
        if os.path.lexists(path / name) and not (path / name).is_dir():
            raise StoreError(f"{str(path / name)!r} is no folder; move it away, and grokdyn resume goes on")


def write_manifest(path: Path, manifest: dict[str, Any]) -> None:
    write_text(path / "manifest.json", manifest_text(manifest))


def manifest_text(manifest: Mapping[str, Any]) -> str:
    return json.dumps(sealed({**manifest, "schema": SCHEMA}), indent=2) + "\n"


def finish(path: Path, found: xr.Dataset) -> None:
    """Write the results, then remove the parts. Of several processes that do so at once the first is heard.

    Raises:
        StoreError: if they cannot be written; the parts stay, and resuming writes the results from them.
    """
    write_dataset(path, path / "results.zarr", found, over=False)
    settle(path)


def write_dataset(path: Path, place: Path, found: xr.Dataset, over: bool = True) -> None:
    """Write a Dataset into a store whole or not at all; one that is there already goes, or stays."""
    from grokdyn.engine.store import packed

    with writing(path):
        make_folder(place.parent)
        with beside(place, folder=True) as made:
            packed.write(made, found)
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
            write_manifest(path, {**known, "finished": True, **noted(path)})
        restore_spec(path, known)
    for name in SCAFFOLD:
        remove(path / name)
    for folder in (path, *(path / name for name in KEPT)):
        remove_left(folder)


def unsettle(path: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest of a store that has batches to train, and its copy."""
    copy_of_manifest(path).parent.mkdir(exist_ok=True)
    made = {name: value for name, value in manifest.items() if name not in ("checksums", "results")}
    write_manifest(path, {**made, "finished": False})
    write_text(copy_of_manifest(path), (path / "manifest.json").read_text())


def restore_spec(path: Path, known: dict[str, Any]) -> None:
    """Write a spec that is not there again, from what the manifest knows."""
    if not (path / "spec.toml").is_file() and "\n" in known.get("spec", ""):
        write_text(path / "spec.toml", known["spec"])


def adopt_spec(path: Path, text: str) -> None:
    """Write a spec that is to be the store's, where its file says another: a field that is new since, say."""
    file = path / "spec.toml"
    if not file.is_file() or not same(text, read_text(file, path)):
        write_text(file, text)
