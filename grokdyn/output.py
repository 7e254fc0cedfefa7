"""Where the command line writes, and what the environment asks of libraries: whatever it is, no traceback."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from grokdyn.spec.errors import SpecError, printable

JAX_SAYS = ("Unable to initialize backend", "Unknown backend")


def prepare() -> None:
    """Make standard streams take every character, and see to it that there are three.

    Where one is closed, the next file opened, of a store perhaps, would be what libraries write their messages to.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what ASCII cannot write is spelled out
            stream.reconfigure(errors="backslashreplace")


def say(message: str) -> None:
    """Print a line that is not a result."""
    with suppress(OSError):
        print(f"grokdyn: {printable(message)}", file=sys.stderr)


@contextmanager
def warnings_told() -> Iterator[None]:
    """Tell our own warnings as what a user reads, a line without the place in our source; others' as they are."""

    def show(message: Any, category: type[Warning], *place: Any, **rest: Any) -> None:
        if category.__module__.startswith("grokdyn."):
            say(f"warning: {message}")
        else:
            plain(message, category, *place, **rest)

    plain = warnings.showwarning
    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = plain


def flush() -> None:
    """Write out what standard output holds back."""
    if sys.stdout is not None:
        sys.stdout.flush()


def silence() -> None:
    """Let go of what standard output does not take, so that nothing more is said of it when the interpreter ends."""
    try:
        flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)


def check_backend() -> None:
    """Refuse a backend that matplotlib does not know, before anything is trained; figures need none.

    Raises:
        SpecError: naming those that it knows.
    """
    wanted = os.environ.get("MPLBACKEND")
    if wanted:
        try:
            import matplotlib  # noqa: F401
        except ValueError as error:
            known = str(error).partition("supported values are ")[2] or "a backend of matplotlib"
            raise SpecError("MPLBACKEND", wanted, f"not set, or {known}") from None


def platform_told(error: Any) -> str | None:
    """Return how it is told that JAX cannot start on the platforms it was asked for; nothing for another error."""
    wanted = os.environ.get("JAX_PLATFORMS") or os.environ.get("JAX_PLATFORM_NAME")
    told = " ".join(str(error).split())
    if wanted is None or not told.startswith(JAX_SAYS):
        return None
    return str(SpecError("JAX_PLATFORMS", wanted, "not set, cpu, or what is installed here: cuda, rocm, tpu", told))
