"""Files that appear whole or not at all, and errors that a user understands."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np


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
    """Yield a file to write, which takes its place when it is complete."""
    with tempfile.NamedTemporaryFile(mode, dir=place.parent, suffix=".tmp", delete=False, **options) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            with suppress(OSError):
                os.unlink(file.name)
            raise
    os.chmod(file.name, 0o644)
    os.replace(file.name, place)


def write_text(place: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with whole(place, "w", encoding="utf-8") as file:
        file.write(text)


def write_arrays(place: Path, arrays: dict[str, Any]) -> None:
    """Write a compressed npz file whole or not at all."""
    with whole(place, "wb") as file:
        np.savez_compressed(file, **arrays)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there and as far as it can be."""
    with suppress(OSError):
        path.unlink() if path.is_file() else shutil.rmtree(path, ignore_errors=True)


@contextmanager
def arrays_in(place: Path) -> Iterator[Any]:
    """Yield the arrays of an npz file by name.

    Raises:
        StoreError: if it is damaged, naming it. A file that is not there raises FileNotFoundError.
    """
    with open(place, "rb") as file:
        try:
            with np.load(file) as found:
                yield found
        except Exception as error:  # numpy and zipfile raise half a dozen kinds for a damaged file
            hint = "remove it, and resume trains what it held again"
            raise StoreError(f"{str(place)!r} is damaged ({error}); {hint}") from None
