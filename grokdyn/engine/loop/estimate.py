"""What a sweep will cost: memory from the compiled program, work from its equations, time from a short trial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from grokdyn.engine.host.devices import devices
from grokdyn.engine.host.scope import scope
from grokdyn.engine.loop.speed import Speed, operations_per_step, remembered, speed
from grokdyn.engine.loop.tune import tuned
from grokdyn.engine.plan.cohort import Cohort
from grokdyn.engine.plan.effect import check_effect
from grokdyn.engine.plan.plan import Plan
from grokdyn.spec.experiment import Experiment
from grokdyn.spec.sweep import Sweep
from grokdyn.train.start import Start


class Estimate(NamedTuple):
    """What one cohort will cost.

    Attributes:
        runs, batches, runs_per_batch, steps: as planned.
        lanes_per_device: of a batch; lanes_per_block: how many of them are computed together.
        bytes: state and records of a batch, on all devices together.
        pauses: steps at which a run makes a record: those asked for and some between.
        operations: floating-point operations of all updates.
        seconds: training time, records included; recording: the share of the records.
        speed: measured now or found in the cache.
        results, snapshots: bytes of what is kept of the whole sweep, in memory; on the disk it takes less, as far as it
            can be compressed.
    """

    runs: int
    batches: int
    runs_per_batch: int
    lanes_per_device: int
    lanes_per_block: int
    steps: int
    pauses: int
    bytes: int
    operations: float
    seconds: float
    speed: Speed
    results: int = 0
    snapshots: int = 0

    @property
    def recording(self) -> float:
        return self.runs * self.pauses * self.speed.run_record / self.seconds


def estimate(what: Experiment | Sweep, start: Start | None = None) -> list[Estimate]:
    """Return what a sweep will cost, cohort by cohort, after a short trial of each that the cache does not know.

    Raises:
        SpecError: for a mistake in the description.
    """
    sweep = what if isinstance(what, Sweep) else Sweep(what, {})
    with scope(sweep):
        found = devices()
        plan = Plan.of(sweep, found, start)
        check_effect(plan, stored=True)
        plan = tuned(plan, found)
        kept = {"results": plan.results_bytes, "snapshots": plan.snapshot_bytes}
        return [estimated(cohort, found)._replace(**kept) for cohort in plan.cohorts]


def estimated(cohort: Cohort, found: list[Any]) -> Estimate:
    known = speed(cohort, found)
    return Estimate(
        len(cohort.runs),
        len(cohort.batches),
        cohort.width,
        len(cohort.batches[0]) // cohort.devices,
        cohort.block,
        cohort.length,
        cohort.schedule.size,
        cohort.lane_bytes * len(cohort.batches[0]),
        operations_per_step(cohort) * len(cohort.runs) * cohort.length,
        known.seconds(cohort),
        known,
    )


def planned_seconds(planned: Sequence[Cohort], found: list[Any]) -> float | None:
    """Return the seconds that cohorts will take, compiling included, if all of them were tried before."""
    total = 0.0
    for cohort in planned:
        known = remembered(cohort, found)
        if known is None:
            return None
        total += known.seconds(cohort) + known.compile_seconds
    return total
