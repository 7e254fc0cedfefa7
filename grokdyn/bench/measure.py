"""Time the sides of a case in turn: A, B, C, D, A, B, C, D, ..."""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from grokdyn.bench.cases import Case

TORCH = ("torch", "torch_batched")
SIDES = ("engine", "hand", *TORCH)
MISSING = "not installed"
NOT_INSTALLED = f"{MISSING} (pip install 'grokdyn[bench]')"
NOT_ASKED = "-"
FAILED = "failed"
# A first measurement shorter than this share of the budget is repeated over more steps.
SHORT = 0.2


@dataclass
class Timing:
    """What was measured of one side.

    Attributes:
        steps: updates per measurement; runs: how many advanced together.
        wall, cpu: seconds of every measurement, by the clock and over all cores of this process.
        idle: seconds of every measurement that are not training, taken off ``wall``; only the engine has any.
        why_not: why there is none.
    """

    steps: int = 0
    runs: int = 0
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    idle: list[float] = field(default_factory=list)
    why_not: str = ""

    @property
    def milliseconds(self) -> float | None:
        """Return the median wall time per run and step in milliseconds."""
        return 1e3 * statistics.median(self.wall) / (self.runs * self.steps) if self.wall else None

    @property
    def cpu_milliseconds(self) -> float | None:
        """Return the median CPU time per run and step in milliseconds: less disturbed by other processes."""
        return 1e3 * statistics.median(self.cpu) / (self.runs * self.steps) if self.cpu else None


@dataclass
class Result:
    """A case's line: timings by side, the operations of a run's gradient, the machine's operations per second, and the
    milliseconds per run and step that the gradient's products take alone."""

    name: str
    case: Case
    runs: int
    timings: dict[str, Timing]
    operations: float = 0.0
    peak: float = 0.0
    floor: float | None = None

    @property
    def share(self) -> float | None:
        """Return the engine's operations per second over those of a large matrix product."""
        took = self.timings["engine"].milliseconds
        return None if took is None or not self.peak else 1e3 * self.operations / took / self.peak

    @property
    def over_floor(self) -> float | None:
        """Return the engine's time over that of the products alone."""
        took = self.timings["engine"].milliseconds
        return None if took is None or not self.floor else took / self.floor

    def ratio(self, above: str, below: str) -> float | None:
        """Return the median over rounds of one side's time per run-step over the other's, of the same round."""
        return per_round(self.timings[above], self.timings[below])


def per_round(above: Timing, below: Timing) -> float | None:
    """Return the median over rounds of one side's time per run-step over another's, of the same round."""
    if not above.wall or not below.wall:
        return None
    ratios = [x / y for x, y in zip(above.wall, below.wall, strict=True)]
    return statistics.median(ratios) * (below.runs * below.steps) / (above.runs * above.steps)


def measured(
    name: str, case: Case, runs: int, rounds: int, seconds: float, torch: bool, say: Callable[[str], None]
) -> Result:
    """Time a case.

    Args:
        rounds: measurements of each side.
        seconds: how long each shall take; the engine takes at least the 50 steps between two records.
        torch: with PyTorch, where it is installed.
        say: told what is being done.
    """
    found = Result(name, case, runs, {side: Timing() for side in SIDES})
    sides: dict[str, Any] = {}
    for side, make in makers(case, runs, torch, found).items():
        say(f"{name}: preparing {side}")
        attempt(found.timings[side], lambda side=side, make=make: prepare(found, sides, side, make, seconds))
    for number in range(rounds):
        say(f"{name}: round {number + 1} of {rounds}")
        for side in SIDES:
            timing = found.timings[side]
            if not timing.why_not:
                attempt(timing, lambda side=side, timing=timing: record(timing, sides[side]))
    use_of_machine(found)
    found.floor = floor_of(found)
    return found


def floor_of(found: Result) -> float:
    """Return the milliseconds per run and step that the products of a case take alone."""
    from grokdyn.bench.floor import floor
    from grokdyn.engine.host.devices import devices

    return 1e3 * floor(found.case.experiment(), devices()[: found.runs])


def use_of_machine(found: Result) -> None:
    """Note the operations of a case and what the machine could do."""
    from grokdyn.bench.peak import operations, peak
    from grokdyn.engine.host.devices import devices

    experiment = found.case.experiment()
    found.operations = operations(experiment, devices())
    found.peak = peak(devices(), experiment.matmul_precision)


def makers(case: Case, runs: int, torch: bool, found: Result) -> dict[str, Callable[[], Any]]:
    """Return what makes each side, the hand-written first; mark those that cannot be."""
    from grokdyn.engine.host.devices import devices

    available = devices()  # before anything else starts JAX: one logical device per core

    from grokdyn.bench.begin import begin
    from grokdyn.bench.engine_side import Engine
    from grokdyn.bench.hand import NETWORKS, Hand

    experiment = case.experiment()
    beginning = begin(experiment, runs)
    sides: dict[str, Callable[[], Any]] = {}
    if case.network in NETWORKS:
        sides["hand"] = lambda: Hand(case.network, experiment, beginning, available)
    else:
        found.timings["hand"].why_not = NOT_ASKED
    sides["engine"] = lambda: Engine(experiment, runs)
    missing = NOT_ASKED if not torch else NOT_INSTALLED if importlib.util.find_spec("torch") is None else ""
    for side in TORCH:
        found.timings[side].why_not = missing
    if not missing:
        from grokdyn.bench import torch_side

        sides["torch"] = lambda: torch_side.Torch(case.network, experiment, beginning)
        if torch_side.NETWORKS[case.network].batched is None:
            found.timings["torch_batched"].why_not = NOT_ASKED
        else:
            sides["torch_batched"] = lambda: torch_side.TorchBatched(case.network, experiment, beginning)
    return sides


def attempt(timing: Timing, what: Callable[[], None]) -> None:
    """Do something with a side; out of memory and the like becomes a word in the table."""
    try:
        what()
    except (RuntimeError, MemoryError) as error:  # XLA's and PyTorch's are RuntimeErrors
        timing.why_not = f"{FAILED}: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        for seconds in (timing.wall, timing.cpu, timing.idle):
            seconds.clear()


def prepare(found: Result, sides: dict[str, Any], side: str, make: Callable[[], Any], seconds: float) -> None:
    """Make a side, let it compile, and choose its number of steps."""
    made = sides[side] = make()
    timing = found.timings[side]
    timing.runs = made.runs
    if side != "engine":
        timing.steps = steps_within(made, seconds)
        return
    from grokdyn.bench.engine_side import EVERY, whole_records

    made.idle()
    # The engine compiles anew for another number of steps, so it takes the hand-written side's where there is one.
    steps = found.timings["hand"].steps
    if not steps:
        made(EVERY)
        steps = seconds * EVERY / elapsed(made, EVERY)[0]
    timing.steps = whole_records(steps)
    made(timing.steps)


def steps_within(side: Any, seconds: float) -> int:
    """Return how many steps fit into the seconds, at least one."""
    side(1)
    steps, taken = 1, elapsed(side, 1)[0]
    while taken < SHORT * seconds:
        steps = max(steps + 1, min(100 * steps, round(steps * seconds * 2 * SHORT / taken)))
        taken = elapsed(side, steps)[0]
    return max(1, round(steps * seconds / taken))


def record(timing: Timing, side: Any) -> None:
    """Measure a side once.

    Raises:
        RuntimeError: training is too short beside what a run costs once, so that their difference is not a time.
    """
    wall, cpu = elapsed(side, timing.steps)
    if hasattr(side, "idle"):
        # What a run costs once, whatever its length, is told apart: a measurement is much shorter than a run.
        idle = elapsed(lambda _: side.idle(), 0)
        if idle[0] >= wall:
            raise RuntimeError(
                f"{timing.steps} steps took {wall:.3g} s, one record without a step {idle[0]:.3g} s: too few steps to "
                "be timed (more: --seconds)"
            )
        wall, cpu = wall - idle[0], cpu - idle[1]
        timing.idle.append(idle[0])
    timing.wall.append(wall)
    timing.cpu.append(cpu)


def elapsed(side: Any, steps: int) -> tuple[float, float]:
    """Return the seconds that some steps take, by the clock and over all cores of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    side(steps)
    return time.perf_counter() - wall, time.process_time() - cpu
