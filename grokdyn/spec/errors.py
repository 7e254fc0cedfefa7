"""What a user sees when a description cannot be run."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SpecError(ValueError):
    """A mistake in a description: the path of the field, what came, what is allowed.

    Attributes:
        path: dotted path of the field, e.g. ``"optimizer.learning_rate"``.
    """

    def __init__(self, path: str, came: object, allowed: str, hint: str = ""):
        self.path = path or "spec"
        tail = f" ({hint})" if hint else ""
        super().__init__(f"{self.path}: got {shown(came)}; allowed: {allowed}{tail}")


def shown(value: object) -> str:
    """Return a short one-line picture of a value for a message."""
    text = str(value) if isinstance(value, Missing | Words) else repr(value)
    text = " ".join(text.split())
    return text if len(text) <= 80 else text[:77] + "..."


class Missing:
    """Stands for a value that was not given."""

    def __str__(self) -> str:
        return "nothing"


class Words(str):
    """A phrase shown as it is, without quotes."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint that names the known word closest to ``name``, or lists them."""
    known = sorted(known)
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else ""
