"""A store that grows: what is new waits in a folder of its own and takes its place file by file.

Putting it there is one renaming; from then on whoever trains takes it up before anything else, and doing so again,
after a kill half way, goes on where it was. So a store has either the old runs or all of them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from grokdyn.engine.store.files import (
    StoreError,
    beside,
    locked,
    make_folder,
    release,
    remove,
    sync,
    write_text,
    writing,
)
from grokdyn.engine.store.folder import manifest_text
from grokdyn.engine.store.pieces import part_file, write_part
from grokdyn.engine.store.reading import EXTENSION, copy_of_manifest
from grokdyn.engine.store.results import Part

# How long whoever finds somebody else at it waits, and between two looks.
PATIENCE, SOON_SECONDS = 10.0, 0.02
BUSY = "another process trains or extends it; allowed: when that is over"


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Keep others from extending a store while it is trained.

    Raises:
        StoreError: if somebody is extending it.
    """
    with held(path, alone=False):
        yield


@contextmanager
def held(path: Path, alone: bool = True) -> Iterator[None]:
    """Hold a store's lock, which ends with this process; nothing is held on a file system without locks.

    Raises:
        StoreError: if somebody else does.
    """
    try:
        lock = locked(Path(os.path.realpath(path)), alone)
    except BlockingIOError:
        told = BUSY if alone else "another process extends it; allowed: again in a moment"
        raise StoreError(f"{str(path)!r}: {told}") from None
    try:
        yield
    finally:
        release(lock)


def stage(path: Path, manifest: Mapping[str, Any], found: Iterable[tuple[int, Part]], known: Mapping[str, Any]) -> None:
    """Put into a store what it is to become; ``complete`` takes it up.

    Args:
        manifest: the new one, with the new spec in it.
        found: what finished batches have found, by their number, where that is in the results only.
        known: the present manifest, whose pieces those are.
    """
    with writing(path), beside(path / EXTENSION, folder=True) as made:
        for number, part in found:
            write_part(part_file(made, number), part, known)
        text = manifest_text({**manifest, "finished": False})
        write_text(made / "manifest.json", text)
        write_text(made / "spec.toml", manifest["spec"])
        os.replace(made, path / EXTENSION)
        sync(path)


def complete(path: Path) -> None:
    """Take up what waits in a store, if anything does.

    Raises:
        StoreError: if the folder cannot be written, or somebody is at it.
    """
    until = time.monotonic() + PATIENCE
    while (path / EXTENSION).is_dir():
        try:
            with held(path), writing(path):
                take_up(path)
        except StoreError:  # somebody else is at it, and soon done
            if time.monotonic() > until:
                raise
            time.sleep(SOON_SECONDS)


def take_up(path: Path) -> None:
    """Put what waits in a store into its places, one file after the other; what is there already stays."""
    waiting = path / EXTENSION
    make_folder(path / "parts")
    if (waiting / "parts").is_dir():
        for file in sorted((waiting / "parts").glob("*.npz")):
            os.replace(file, path / "parts" / file.name)
        sync(path / "parts")
    if (waiting / "manifest.json").is_file():
        with beside(path / "results.zarr", folder=True) as old:
            if (path / "results.zarr").is_dir():
                os.replace(path / "results.zarr", old)
                sync(path)
        write_text(copy_of_manifest(path), (waiting / "manifest.json").read_text(encoding="utf-8"))
        os.replace(waiting / "manifest.json", path / "manifest.json")
        sync(path)
    if (waiting / "spec.toml").is_file():
        os.replace(waiting / "spec.toml", path / "spec.toml")
        sync(path)
    remove(waiting)
