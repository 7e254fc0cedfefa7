"""How a case's speed grows with the number of runs side by side: what to measure first on a new device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from grokdyn.bench.cases import CASES, Case
from grokdyn.bench.measure import NOT_ASKED, Result, Timing, attempt, makers, prepare, record, use_of_machine

LANES = (1, 4, 16, 64, 256, 1024, 4096)
SIDES = ("engine", "torch_batched")


@dataclass
class Growth:
    """A case's speed by the number of its lanes.

    Attributes:
        results: lanes -> timings of the engine and of PyTorch batched.
        alone: PyTorch run after run, whose time per run does not depend on how many there are.
        stopped: why no more lanes were tried, if so.
    """

    name: str
    case: Case
    results: dict[int, Result] = field(default_factory=dict)
    alone: Timing = field(default_factory=Timing)
    stopped: str = ""

    def best(self) -> tuple[int, float] | None:
        """Return the lanes with which the engine was fastest, and its milliseconds per run and step."""
        known = {lanes: one.timings["engine"].milliseconds for lanes, one in self.results.items()}
        timed = {lanes: took for lanes, took in known.items() if took is not None}
        return min(timed.items(), key=lambda item: item[1]) if timed else None


def grown(name: str, most: int, rounds: int, seconds: float, torch: bool, say: Callable[[str], None]) -> Growth:
    """Time a case with more and more lanes, until memory or the most lanes end it.

    Args:
        most: lanes.
        rounds, seconds: measurements of each side, and how long each shall take.
        torch: with PyTorch, where it is installed.
        say: told what is being done.
    """
    found = Growth(name, CASES[name])
    for lanes in (n for n in LANES if n <= most):
        say(f"{name}: {lanes} lanes")
        result = found.results[lanes] = timed(found, lanes, rounds, seconds, torch)
        if why := result.timings["engine"].why_not:
            found.stopped = f"{lanes} lanes {why}"
            break
    first = next(iter(found.results.values()))
    use_of_machine(first)
    for result in found.results.values():
        result.operations, result.peak = first.operations, first.peak
    return found


def timed(found: Growth, lanes: int, rounds: int, seconds: float, torch: bool) -> Result:
    """Return the timings of the engine and of PyTorch batched with so many lanes; PyTorch alone is timed with one."""
    sides = (*SIDES, "torch") if lanes == 1 else SIDES
    result = Result(found.name, found.case, lanes, {side: Timing() for side in ("engine", "hand", "torch", SIDES[1])})
    made: dict[str, Any] = {}
    for side, make in makers(found.case, lanes, torch, result).items():
        if side in sides:
            attempt(result.timings[side], lambda side=side, make=make: prepare(result, made, side, make, seconds))
    for side in sides:
        timing = result.timings[side]
        for _ in range(rounds):
            if not timing.why_not and side in made:
                attempt(timing, lambda side=side, timing=timing: record(timing, made[side]))
    for side in set(result.timings) - set(sides):
        result.timings[side].why_not = NOT_ASKED
    if lanes == 1:
        found.alone = result.timings["torch"]
    return result
