"""Paths as users write them, read in one way wherever they come in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from grokdyn.spec.errors import SpecError

ALLOWED = "a path, such as 'runs/first', '~/first' or a Path"


def path_of(given: Any, name: str = "path") -> Path:
    """Return the path that a user gave, as a relative one if it was.

    ``~`` and ``~name`` are home folders, as in a shell.

    Args:
        name: what it is a path of, for the message.

    Raises:
        SpecError: if it cannot be a path.
    """
    try:
        text = os.fspath(given)
    except TypeError:
        raise SpecError(name, given, ALLOWED) from None
    if not isinstance(text, str) or not text or "\0" in text:
        raise SpecError(name, given, ALLOWED)
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise SpecError(name, given, f"{ALLOWED}; whose home that is, is not known here") from None


def place_of(given: Any, name: str = "path") -> Path:
    """Return the path that a user gave from the root on: the working directory may change afterwards.

    Raises:
        SpecError: if it cannot be a path, or is relative to a folder that is not there any more.
    """
    path = path_of(given, name)
    try:
        return Path(os.path.realpath(path)) if ".." in path.parts else path.absolute()
    except OSError:
        raise SpecError(name, given, "a path from the root on: the working directory is not there") from None


def cache_folder() -> Path | None:
    """Return the user's cache folder of this package: GROKDYN_CACHE_DIR, none if that is empty, or the system's."""
    given = os.environ.get("GROKDYN_CACHE_DIR")
    if given is not None:
        return Path(given).expanduser() if given.strip() else None
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "grokdyn"
    except RuntimeError:  # nobody's home
        return None
