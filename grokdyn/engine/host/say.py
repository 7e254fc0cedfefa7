"""What a user should know although nothing is wrong enough to stop."""

from __future__ import annotations

import sys
from contextlib import suppress


def say(text: str) -> None:
    """Tell something in one line on standard error, where neither a table nor results go."""
    with suppress(OSError, ValueError):  # closed, or of an alphabet that lacks a letter: going on matters more
        print(f"grokdyn: {text}", file=sys.stderr, flush=True)
