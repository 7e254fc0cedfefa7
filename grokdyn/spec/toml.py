"""TOML text <-> plain tables, with errors in a user's words."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import tomli_w

from grokdyn.spec.errors import SpecError, Words
from grokdyn.spec.paths import path_of


def loads(text: str, name: str = "spec") -> dict[str, Any]:
    """Parse TOML.

    Raises:
        SpecError: with the parser's line and column if it is broken.
    """
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also a number with thousands of digits
        raise SpecError(name, Words("broken TOML"), f"valid TOML; the parser says: {error}") from None


def read(path: str | Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        SpecError: if it cannot be read or parsed.
    """
    try:
        text = path_of(path, "spec").read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise SpecError(str(path), Words("bytes that are not UTF-8"), "a TOML file") from None
    except OSError as error:
        reason = Words(error.strerror or str(error))
        raise SpecError(str(path), reason, "a TOML file that can be read") from None
    return loads(text, str(path))


def dumps(table: dict[str, Any]) -> str:
    """Write TOML; ``None`` has no word in TOML and must have been left out."""
    return tomli_w.dumps(table)


def value(text: str) -> Any:
    """Parse one TOML value as given on a command line; bare words count as strings."""
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except (ValueError, RecursionError):
        return text
