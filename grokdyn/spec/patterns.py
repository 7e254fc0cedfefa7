"""A pattern that names of tensors match."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from grokdyn.spec.errors import SpecError
from grokdyn.spec.rules import Rule


@dataclass(frozen=True)
class Pattern(Rule):
    """A name, or several at once by ``*``, ``?`` and ``[...]`` as in a shell."""

    @property
    def allowed(self) -> str:
        return "a name, or a pattern of names such as 'W_*'"

    def decode(self, value: Any, path: str) -> str:
        if not isinstance(value, str) or not value or value != value.strip():
            raise SpecError(path, value, self.allowed)
        return value


def matches(name: str, pattern: str) -> bool:
    """Return whether a name fits a pattern."""
    return fnmatchcase(name, pattern)
