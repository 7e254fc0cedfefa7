"""Progress between chunks: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

# Seconds between plain lines; nothing is said of work that ends sooner.
PATIENCE = 10.0


class Reporter(Protocol):
    """Receives run-steps as they are done."""

    def advance(self, run_steps: int) -> None: ...

    def say(self, text: str) -> None: ...


class Bar:
    """A bar with run-steps per second and the time left."""

    def __init__(self, progress: Progress, total: int):
        self.progress = progress
        self.task = progress.add_task("compiling", total=max(total, 1), rate="")
        self.began = 0.0

    def advance(self, run_steps: int) -> None:
        # The rate counts from the first finished chunk on: that one held the compilation.
        now = time.monotonic()
        done = self.progress.tasks[self.task].completed
        if not self.began:
            self.began, self.before = now, done + run_steps
        elif now > self.began:
            rate = (done + run_steps - self.before) / (now - self.began)
            self.progress.update(self.task, rate=f"{rate:,.0f} run-steps/s")
        self.progress.update(self.task, advance=run_steps, description="training")

    def say(self, text: str) -> None:
        self.progress.console.print(text)


class Lines:
    """A plain line every few seconds."""

    def __init__(self, total: int):
        self.total, self.done = max(total, 1), 0
        self.began = self.said = time.monotonic()

    def advance(self, run_steps: int) -> None:
        self.done += run_steps
        now = time.monotonic()
        if now - self.said >= PATIENCE:
            self.said = now
            if not self.done:
                self.say("compiling")
                return
            rate = self.done / (now - self.began)
            left = (self.total - self.done) / rate
            self.say(f"{self.done / self.total:.0%} of {self.total:,} run-steps, {rate:,.0f}/s, {left:,.0f} s left")

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class Silent:
    """Says nothing."""

    def advance(self, run_steps: int) -> None:
        pass

    def say(self, text: str) -> None:
        pass


@contextmanager
def reporter(total: int, wanted: bool | None) -> Iterator[Reporter]:
    """Yield what reports progress: a bar where standard error is a terminal, else lines; nothing if not wanted."""
    console = Console(stderr=True)
    if wanted is False:
        yield Silent()
    elif console.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%  {task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console) as progress:
            yield Bar(progress, total)
    else:
        yield Lines(total)
