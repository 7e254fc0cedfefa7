"""A terminal that shows text as it is: no markup, no codes, nothing that moves the cursor."""

from __future__ import annotations

from typing import Any

import rich.console
from rich.text import Text

from grokdyn.spec.errors import printable


class Console(rich.console.Console):
    """A console for text that others wrote: labels, kinds, paths, messages."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text, keep="\n"), **{**options, "markup": False, "emoji": False})

    def on_broken_pipe(self) -> None:
        """Leave it to the command line; rich would end the process with status 1."""
        raise BrokenPipeError
