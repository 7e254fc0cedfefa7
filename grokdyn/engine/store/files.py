"""Files that appear whole or not at all, and stay when the power fails; errors that a user understands."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

# How what is being written is named until it takes its place.
OURS = re.compile(r".*\.[0-9a-f]{32}\.tmp")
# Where a file system has no locks, what was not touched for so long is nobody's.
ABANDONED_SECONDS = 3600.0
LONGEST = 100
SYNC_THREADS = 8
# A folder that may be written and not read, or a system that cannot do so.
UNABLE = (errno.EACCES, errno.EPERM, errno.EINVAL, errno.EBADF, errno.ENOTSUP)


class StoreError(ValueError):
    """A folder that cannot be written, or is not a store, or is damaged."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tell a full disk or a missing permission as a StoreError."""
    try:
        yield
    except OSError as error:
        told = f"{error.strerror or error}; what was finished before is kept"
        raise StoreError(f"out: cannot write to {str(path)!r}: {told}") from None


@contextmanager
def whole(place: Path, mode: str, **options: Any) -> Iterator[IO[Any]]:
    """Yield a file to write, which takes its place when it is complete and on the disk."""
    with beside(place) as made:
        with open(made, mode, **options) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(made, place)
        sync(place.parent)


@contextmanager
def beside(place: Path, folder: bool = False) -> Iterator[Path]:
    """Yield a new file or folder next to a place; unless it is moved away it goes afterwards.

    Its name says that it is ours, and a lock that somebody is at work on it.
    """
    while True:
        made, held = place.with_name(f"{place.name[:LONGEST]}.{uuid.uuid4().hex}.tmp"), None
        made.mkdir() if folder else made.touch(exist_ok=False)
        with suppress(BlockingIOError):
            held = locked(made)
            if made.exists():
                break
        release(held)  # somebody took it for left behind before the lock was there
    try:
        yield made
    finally:
        remove(made)
        release(held)


def locked(path: Path, alone: bool = True) -> int | None:
    """Return a descriptor of a file or folder whose lock ends with this process, or None where there are no locks.

    Args:
        alone: no other process may hold it too.

    Raises:
        BlockingIOError: if another process holds the lock.
    """
    try:
        import fcntl  # not on Windows
    except ImportError:
        return None
    held = None
    try:
        held = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        fcntl.flock(held, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        release(held)
        raise
    except OSError:  # it is gone, or on a file system without locks
        release(held)
        return None
    return held


def release(held: int | None) -> None:
    if held is not None:
        os.close(held)


def remove_left(folder: Path, name: str = "") -> None:
    """Remove what a process that ended half way left in a folder; nothing else, and nothing through a link.

    Args:
        name: of what was being written; default: whatever.
    """
    with suppress(OSError):
        for found in () if folder.is_symlink() else os.scandir(folder):
            kinds = found.is_file(follow_symlinks=False) or found.is_dir(follow_symlinks=False)
            if kinds and OURS.fullmatch(found.name) and found.name.startswith(name[:LONGEST]):
                with suppress(OSError):
                    remove_abandoned(Path(found.path))


def remove_abandoned(path: Path) -> None:
    """Remove a file or folder that was being written, unless somebody is at it still.

    Raises:
        BlockingIOError: if somebody is.
    """
    held = locked(path)
    try:
        if held is not None or time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
            remove(path)
    finally:
        release(held)


def sync(path: Path) -> None:
    """Wait until a file, or which files a folder holds, is on the disk."""
    try:
        held = os.open(path, os.O_RDONLY)
        try:
            os.fsync(held)
        finally:
            os.close(held)
    except OSError as error:
        if error.errno not in UNABLE:
            raise


def make_folder(path: Path, parents: bool = False) -> None:
    """Make a folder, with those it is in or where they are there, on the disk, if it is not there."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=parents, exist_ok=True)
    for made in missing:
        sync(made.parent)


def sync_all(folder: Path) -> None:
    """Wait until a folder and all that is in it is on the disk."""
    found = [Path(inside) / name for inside, _, names in os.walk(folder) for name in (*names, "")]
    with ThreadPoolExecutor(SYNC_THREADS) as pool:  # a disk takes many at once in the time of one
        list(pool.map(sync, found))


def write_text(place: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with whole(place, "w", encoding="utf-8") as file:
        file.write(text)


def regular(place: Path) -> IO[bytes]:
    """Open a file to read it.

    Raises:
        StoreError: if it is a pipe, a device, a folder, or cannot be read. A file that is not there raises
            FileNotFoundError.
    """
    try:
        held = os.open(place, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except NotADirectoryError:
        raise FileNotFoundError(str(place)) from None
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreError(f"{str(place)!r} cannot be read: {error.strerror or error}") from None
    if not stat.S_ISREG(os.fstat(held).st_mode):
        os.close(held)
        raise StoreError(f"{str(place)!r} is not a regular file; allowed: what grokdyn has written")
    return os.fdopen(held, "rb")


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there and as far as it can be."""
    with suppress(OSError):
        path.unlink() if path.is_file() or path.is_symlink() else shutil.rmtree(path, ignore_errors=True)


def first_line(error: BaseException) -> str:
    """Return how an error of another library is told in a line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
