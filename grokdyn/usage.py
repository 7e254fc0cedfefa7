"""What commands share: mistakes on the command line, and where specs and stores lie."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from grokdyn.spec.errors import printable


class UsageError(ValueError):
    """A mistake on the command line."""


def say(path: Any) -> None:
    """Print where something lies, on one line whatever its name."""
    print(printable(str(path)))


def read(spec: Path, scale: str, overrides: Mapping[str, str]) -> Any:
    """Return the sweep, the round or the search that a file describes, with fields set from the command line."""
    from grokdyn.spec import toml
    from grokdyn.spec.experiment import Experiment
    from grokdyn.spec.files import load
    from grokdyn.spec.sweep import Sweep

    described = load(spec, scale, {path: toml.value(text) for path, text in overrides.items()})
    return Sweep(described, {}) if isinstance(described, Experiment) else described


def read_sweep(spec: Path, scale: str, overrides: Mapping[str, str]) -> Any:
    """Return the sweep that a file describes, for what can be done with no round.

    Raises:
        UsageError: for a round, or the search for a boundary.
    """
    from grokdyn.spec.plane import Search
    from grokdyn.spec.round import Round

    described = read(spec, scale, overrides)
    if isinstance(described, Search):
        told = "the search for a boundary, which decides what it runs as it goes"
        raise UsageError(f"{printable(str(spec))}: got {told}; allowed: grokdyn boundary")
    if isinstance(described, Round):
        raise UsageError(
            f"{printable(str(spec))}: got a round; allowed: grokdyn run, which trains what it goes on from"
        )
    return described


def default_folder(spec: Path) -> Path:
    """Return the folder in ``runs/`` that is named after a file, or after the folder of a ``spec.toml``."""
    return Path("runs") / (spec.absolute().parent.name if spec.stem == "spec" else spec.stem)


def free_folder(wanted: Path) -> Path:
    """Return the folder, or the first of folder-2, folder-3, ... that is free."""
    candidates: Iterator[Path] = (wanted if i == 1 else wanted.with_name(f"{wanted.name}-{i}") for i in range(1, 10**6))
    return next(p for p in candidates if not p.exists())


def shown(folder: Path) -> str:
    """Return a folder as a shell takes it."""
    return shlex.quote(printable(str(folder)))


def hint(text: str) -> None:
    """Tell what to do next, on standard error: standard output names files only."""
    from grokdyn.engine.host.say import say as say_beside

    say_beside(f"next: {text}")
