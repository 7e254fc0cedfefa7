"""What a sweep will cost: memory from the compiled program, work from its equations, time from a short trial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from grokdyn.engine import plan
from grokdyn.engine.devices import devices
from grokdyn.engine.scope import scope
from grokdyn.engine.speed import operations_per_step, remembered, speed
from grokdyn.engine.tune import tuned
from grokdyn.spec.experiment import Experiment
from grokdyn.spec.sweep import Sweep
from grokdyn.train.start import Start


class Estimate(NamedTuple):
    """What one cohort will cost.

    Attributes:
        runs, batches, runs_per_batch, steps: as planned.
        lanes_per_device: of a batch; lanes_per_block: how many of them are computed together.
        bytes: state and records of a batch, on all devices together.
        operations: floating-point operations of all updates.
        seconds: training time, from ``run_step``, the seconds per update of one run with all devices busy.
        compile_seconds: once, before it.
        measured: whether ``run_step`` was measured now; else it was found in the cache.
    """

    runs: int
    batches: int
    runs_per_batch: int
    lanes_per_device: int
    lanes_per_block: int
    steps: int
    bytes: int
    operations: float
    run_step: float
    compile_seconds: float
    measured: bool

    @property
    def seconds(self) -> float:
        return self.run_step * self.runs * self.steps


def estimate(what: Experiment | Sweep, start: Start | None = None) -> list[Estimate]:
    """Return what a sweep will cost, cohort by cohort, after a short trial of each that the cache does not know.

    Raises:
        SpecError: for a mistake in the description.
    """
    sweep = what if isinstance(what, Sweep) else Sweep(what, {})
    with scope(sweep):
        found = devices()
        planned = tuned(plan.cohorts(list(sweep.experiments()), start, found), found)
        return [estimated(cohort, found) for cohort in planned]


def estimated(cohort: plan.Cohort, found: list[Any]) -> Estimate:
    known = speed(cohort, found)
    return Estimate(
        len(cohort.runs),
        len(cohort.batches),
        cohort.width,
        len(cohort.batches[0]) // cohort.devices,
        cohort.block,
        cohort.length,
        cohort.lane_bytes * len(cohort.batches[0]),
        operations_per_step(cohort) * len(cohort.runs) * cohort.length,
        *known,
    )


def planned_seconds(planned: Sequence[plan.Cohort], found: list[Any]) -> float | None:
    """Return the seconds that cohorts will take, compiling included, if all of them were tried before."""
    total = 0.0
    for cohort in planned:
        known = remembered(cohort, found)
        if known is None:
            return None
        total += known.seconds(cohort) + known.compile_seconds
    return total
