"""Ctrl-C and SIGTERM as a wish to stop at the next good moment."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A sweep was stopped on request, its state saved; the message says how to go on."""


class Wish:
    """Whether somebody asked to stop: with a signal, or as ``elsewhere`` tells."""

    def __init__(self, elsewhere: Callable[[], bool] | None = None) -> None:
        self.signalled, self.elsewhere = False, elsewhere

    @property
    def asked(self) -> bool:
        return self.signalled or (self.elsewhere is not None and self.elsewhere())


@contextmanager
def wish_to_stop(wish: Wish | None = None) -> Iterator[Wish]:
    """Yield a wish that the first SIGINT or SIGTERM sets; a second one interrupts at once.

    Signals reach the main thread only; elsewhere the wish depends on who made it.
    """
    wish = wish or Wish()
    if threading.current_thread() is not threading.main_thread():
        yield wish
        return

    def note(number: int, frame: Any) -> None:
        if wish.signalled:
            raise KeyboardInterrupt
        wish.signalled = True

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield wish
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
