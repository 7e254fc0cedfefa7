"""Progress between chunks: a bar for every cohort on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

# Seconds between plain lines; nothing is said of work that ends sooner.
PATIENCE = 10.0


@dataclass(frozen=True)
class Tally:
    """How many runs have reached their last step, were stopped by a rule, or diverged."""

    done: int = 0
    stopped: int = 0
    diverged: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.done + other.done, self.stopped + other.stopped, self.diverged + other.diverged)

    def __str__(self) -> str:
        return ", ".join(f"{count:,} {what}" for what, count in vars(self).items() if count)


class Reporter:
    """Receives run-steps as they are done, and how runs ended; this one says nothing."""

    def __init__(self, totals: Sequence[int]):
        self.totals = [max(total, 1) for total in totals]
        self.cohort, self.past, self.present = 0, Tally(), Tally()

    def turn(self, cohort: int) -> None:
        """Go over to another cohort."""
        self.cohort, self.past, self.present = cohort, Tally(), Tally()

    def running(self, tally: Tally) -> None:
        """Take note of how runs of the batch in training have ended so far."""
        self.present = tally

    def finished(self, tally: Tally) -> None:
        """Take note of how the runs of a finished batch have ended."""
        self.past, self.present = self.past + tally, Tally()

    def advance(self, run_steps: int) -> None:
        """Take note of updates made."""

    def say(self, text: str) -> None:
        """Tell something that is not progress."""

    @property
    def name(self) -> str:
        """What is in training."""
        return f"cohort {self.cohort + 1} of {len(self.totals)}" if len(self.totals) > 1 else "training"

    @property
    def ended(self) -> str:
        return str(self.past + self.present)


class Bars(Reporter):
    """A bar for every cohort, with run-steps per second, how runs ended, and the time left."""

    def __init__(self, progress: Progress, totals: Sequence[int]):
        super().__init__(totals)
        self.progress = progress
        self.tasks: dict[int, TaskID] = {}
        self.turn(0)

    def turn(self, cohort: int) -> None:
        super().turn(cohort)
        if cohort not in self.tasks:
            about = "compiling" if len(self.totals) == 1 else self.name
            self.tasks[cohort] = self.progress.add_task(about, total=self.totals[cohort], rate="", ended="")
        self.began = 0.0

    def advance(self, run_steps: int) -> None:
        # The rate counts from the first finished chunk on: that one held the compilation.
        now, task = time.monotonic(), self.tasks[self.cohort]
        done = self.progress.tasks[task].completed
        if not self.began:
            self.began, self.before = now, done + run_steps
        elif now > self.began:
            rate = (done + run_steps - self.before) / (now - self.began)
            self.progress.update(task, rate=f"{rate:,.0f} run-steps/s")
        self.progress.update(task, advance=run_steps, description=self.name, ended=self.ended)

    def finished(self, tally: Tally) -> None:
        super().finished(tally)
        self.progress.update(self.tasks[self.cohort], ended=self.ended)

    def say(self, text: str) -> None:
        self.progress.console.print(text)


class Lines(Reporter):
    """A plain line every few seconds."""

    def __init__(self, totals: Sequence[int]):
        super().__init__(totals)
        self.done = 0
        self.said = time.monotonic()
        self.turn(0)

    def turn(self, cohort: int) -> None:
        super().turn(cohort)
        self.done, self.began = 0, time.monotonic()

    def advance(self, run_steps: int) -> None:
        self.done += run_steps
        now = time.monotonic()
        if now - self.said >= PATIENCE:
            self.said = now
            self.say(f"{self.name}: {self.told(now)}" if len(self.totals) > 1 else self.told(now))

    def told(self, now: float) -> str:
        if not self.done:
            return "compiling"
        total, rate = self.totals[self.cohort], self.done / (now - self.began)
        left = f"{(total - self.done) / rate:,.0f} s left"
        parts = f"{self.done / total:.0%} of {total:,} run-steps", f"{rate:,.0f}/s", left, self.ended
        return ", ".join(part for part in parts if part)

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


@contextmanager
def reporter(totals: Sequence[int], wanted: bool | None) -> Iterator[Reporter]:
    """Yield what reports progress: bars where standard error is a terminal, else lines; nothing if not wanted.

    Args:
        totals: updates of all runs of every cohort.
    """
    console = Console(stderr=True)
    if wanted is False:
        yield Reporter(totals)
    elif console.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%  {task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[ended]}"),
        )
        with Progress(*columns, console=console) as progress:
            yield Bars(progress, totals)
    else:
        yield Lines(totals)
