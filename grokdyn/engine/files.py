"""Files that appear whole or not at all, and errors that a user understands."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False, encoding="utf-8") as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def write_arrays(place: Path, arrays: dict[str, Any]) -> None:
    """Write a compressed npz file whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=place.parent, suffix=".tmp", delete=False) as file:
        try:
            np.savez_compressed(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            os.unlink(file.name)
            raise
    os.replace(file.name, place)


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
