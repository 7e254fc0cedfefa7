"""What of a description comes from outside the package: a user's own classes and functions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from grokdyn.spec.base import Spec, rules

PACKAGE = "grokdyn"


def is_foreign(thing: Any) -> bool:
    """Return whether a class or function was written outside the package."""
    return str(getattr(thing, "__module__", "")).partition(".")[0] != PACKAGE


def has_foreign(spec: Any) -> bool:
    """Return whether a description, or a part at any depth inside it, holds a class or function of a user's own."""
    if isinstance(spec, tuple):
        return any(has_foreign(item) for item in spec)
    if isinstance(spec, Spec):
        return is_foreign(type(spec)) or any(has_foreign(getattr(spec, name)) for name in rules(type(spec)))
    return callable(spec) and is_foreign(spec)


def foreign_numbers(cls: type) -> set[str]:
    """Return the fields that a class has from classes outside the package alone."""
    shared = {name for c in cls.__mro__ if issubclass(c, Spec) and not is_foreign(c) for name in fields_of(c)}
    return set(rules(cls)) - shared


def fields_of(cls: type) -> set[str]:
    """Return the names of a class's fields; none for the bare base."""
    return set() if cls is Spec else set(rules(cls))


def owners(spec: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield every part of a description, itself included, with the names that lead to it."""
    if isinstance(spec, Spec):
        yield path, spec
        for name in rules(type(spec)):
            yield from owners(getattr(spec, name), (*path, name))
    elif isinstance(spec, tuple):
        for i, item in enumerate(spec):
            yield from owners(item, (*path, i))
