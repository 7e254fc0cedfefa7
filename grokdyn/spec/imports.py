"""Where a class or function is, as ``"package.module:name"``, and what is there."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from grokdyn.spec.errors import SpecError

# Whether only parts of this package are imported: a file from elsewhere must not run its maker's code.
NOTHING_IMPORTED = ContextVar("nothing_imported", default=False)


@contextmanager
def nothing_imported() -> Iterator[None]:
    """Have a spec read without importing anything that is not of this package."""
    before = NOTHING_IMPORTED.set(True)
    try:
        yield
    finally:
        NOTHING_IMPORTED.reset(before)


def imported(place: str, path: str, allowed: str) -> Any:
    """Import ``"package.module:name"``."""
    module, _, name = place.partition(":")
    if NOTHING_IMPORTED.get() and module.partition(".")[0] != __name__.partition(".")[0]:
        raise SpecError(path, place, allowed, "to read results nothing of somebody's own is imported")
    try:
        found = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:  # whatever the user's module raises is the user's mistake, told in one line
        raise SpecError(path, place, allowed, f"importing it failed: {error}") from None
    return found


def location(thing: Any) -> str:
    """Return where a user's function or class can be imported from."""
    return f"{thing.__module__}:{thing.__qualname__}"
