"""Reading files of a store that others may have made: regular files that lie in it, and nothing else.

A pipe would wait for ever, a link to a device never end, and a link to elsewhere show what is not the store's.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from grokdyn.engine.store.files import StoreError

UNREADABLE = "unreadable, "


def irregular(file: Path, root: Path) -> str:
    """Return in words why a file must not be read, or nothing; it may be missing.

    Args:
        root: the store, itself a link or not. Links within it are followed.
    """
    try:
        place, inside = os.path.realpath(file), os.path.realpath(root)
        if place != inside and not place.startswith(inside.rstrip(os.sep) + os.sep):
            return "a link that points out of the store"
        mode = os.stat(place).st_mode
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        return f"{UNREADABLE}{getattr(error, 'strerror', None) or error}"
    if stat.S_ISDIR(mode):
        return "a folder"
    return "" if stat.S_ISREG(mode) else "a pipe or a device"


def check_regular(file: Path, root: Path) -> None:
    """Raise StoreError if a file of a store is anything but a regular file in it."""
    told = irregular(file, root)
    if told.startswith(UNREADABLE):
        raise StoreError(f"{str(file)!r} cannot be read: {told.removeprefix(UNREADABLE)}")
    if told:
        raise StoreError(f"{str(file)!r} is {told}; allowed: a regular file in the store")


def read_bytes(file: Path, root: Path) -> bytes:
    """Return what a file of a store holds.

    Raises:
        FileNotFoundError: if it is not there.
        StoreError: if it is anything but a regular file in the store, or cannot be read.
    """
    check_regular(file, root)
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreError(f"{str(file)!r} cannot be read: {error.strerror or error}") from None


def read_text(file: Path, root: Path) -> str:
    """Return the text of a file of a store, bytes that are no text spelled out; else as ``read_bytes``."""
    return read_bytes(file, root).decode("utf-8", "backslashreplace")
