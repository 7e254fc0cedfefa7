"""Progress between chunks: a bar for every cohort on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from grokdyn.engine.host.console import Console
from grokdyn.spec.errors import printable

# Seconds between plain lines; nothing is said of work that ends sooner.
PATIENCE = 10.0
# Chunks that tell how fast training is.
RECENT = 8


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


class Pace:
    """How fast a cohort trains, told by the latest chunks, but not the first: that one held the compilation.

    Only the latest, since a process may have been suspended, or the machine busy with something else, for long.
    """

    def __init__(self) -> None:
        self.made = 0
        self.ends: deque[tuple[float, int]] = deque(maxlen=RECENT + 1)

    def start(self) -> None:
        """Time everything from now on: where chunks come in from many workers, the latest few are no measure."""
        self.ends = deque([(time.monotonic(), self.made)])

    def advance(self, run_steps: int) -> None:
        if self.ends:
            self.made += run_steps
        self.ends.append((time.monotonic(), self.made))

    @property
    def rate(self) -> float | None:
        """Updates of runs per second; None until some were timed."""
        if not self.ends:
            return None
        began, before = self.ends[0]
        made = self.made - before
        return made / max(time.monotonic() - began, 1e-6) if made else None


class Reporter:
    """Receives updates as they are made, and how runs ended; this one says nothing."""

    def __init__(self, totals: Sequence[int]):
        self.totals = [max(total, 1) for total in totals]
        self.turn(0)

    def turn(self, cohort: int) -> None:
        """Go over to another cohort."""
        self.cohort, self.past, self.present = cohort, Tally(), Tally()
        self.done, self.pace = 0, Pace()

    def running(self, tally: Tally) -> None:
        """Take note of how runs of the batch in training have ended so far."""
        self.present = tally

    def finished(self, tally: Tally) -> None:
        """Take note of how the runs of a finished batch have ended."""
        self.past, self.present = self.past + tally, Tally()

    def advance(self, run_steps: int) -> None:
        """Take note of updates made."""
        self.done += run_steps
        self.pace.advance(run_steps)
        self.show()

    def skip(self, run_steps: int) -> None:
        """Take note of updates that need not be made: they are in the store, or their runs are over."""
        self.done += run_steps
        self.show()

    def show(self) -> None:
        """Show how far it is."""

    def say(self, text: str) -> None:
        """Tell something that is not progress."""

    @property
    def name(self) -> str:
        """What is in training."""
        return f"cohort {self.cohort + 1} of {len(self.totals)}" if len(self.totals) > 1 else "training"

    @property
    def ended(self) -> str:
        return str(self.past + self.present)

    @property
    def seconds_left(self) -> float | None:
        rate = self.pace.rate
        return None if rate is None else (self.totals[self.cohort] - self.done) / rate


class Bars(Reporter):
    """A bar for every cohort, with run-steps per second, how runs ended, and the time left."""

    def __init__(self, progress: Progress, totals: Sequence[int]):
        self.progress = progress
        self.tasks: dict[int, TaskID] = {}
        super().__init__(totals)

    def turn(self, cohort: int) -> None:
        super().turn(cohort)
        if cohort not in self.tasks:
            about = "compiling" if len(self.totals) == 1 else self.name
            self.tasks[cohort] = self.progress.add_task(about, total=self.totals[cohort], rate="", left="", ended="")

    def show(self) -> None:
        rate, left = self.pace.rate, self.seconds_left
        told: dict[str, Any] = {"description": self.name, "ended": self.ended}
        if rate is not None and left is not None:
            told |= {"rate": f"{rate:,.0f} run-steps/s", "left": f"{clock(left)} left"}
        self.progress.update(self.tasks[self.cohort], completed=self.done, **told)

    def finished(self, tally: Tally) -> None:
        super().finished(tally)
        self.progress.update(self.tasks[self.cohort], ended=self.ended)

    def say(self, text: str) -> None:
        self.progress.console.print(text, markup=False, highlight=False, soft_wrap=True)


class Lines(Reporter):
    """A plain line every few seconds."""

    def __init__(self, totals: Sequence[int]):
        super().__init__(totals)
        self.said = time.monotonic()

    def show(self) -> None:
        now = time.monotonic()
        if now - self.said >= PATIENCE:
            self.said = now
            self.say(f"{self.name}: {self.told}" if len(self.totals) > 1 else self.told)

    @property
    def told(self) -> str:
        if not self.done:
            return "compiling"
        total, rate, left = self.totals[self.cohort], self.pace.rate, self.seconds_left
        parts = [f"{self.done / total:.0%} of {total:,} run-steps"]
        if rate is not None and left is not None:
            parts += [f"{rate:,.0f}/s", f"{clock(left)} left"]
        return ", ".join(part for part in (*parts, self.ended) if part)

    def say(self, text: str) -> None:
        print(printable(text), file=sys.stderr, flush=True)


def clock(seconds: float) -> str:
    """Return a time as ``h:mm:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


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
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.fields[ended]}"),
        )
        with Progress(*columns, console=console) as progress:
            yield Bars(progress, totals)
    else:
        yield Lines(totals)
