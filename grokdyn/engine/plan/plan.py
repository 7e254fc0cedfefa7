"""The plan of a sweep: its cohorts, and its batches, numbered through all of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from grokdyn.engine.plan.cohort import Cohort
from grokdyn.engine.plan.cohorts import NOWHERE, cohorts
from grokdyn.engine.store import states
from grokdyn.engine.store.layout import layout
from grokdyn.engine.store.noted import generations, sizes_of
from grokdyn.spec.sweep import Sweep
from grokdyn.train.origin import Origin
from grokdyn.train.start import Start


class Planned(NamedTuple):
    """One batch of a plan.

    Attributes:
        number: among all batches of the sweep.
        place: of its cohort in the plan.
        lanes: positions into the cohort's runs.
    """

    number: int
    place: int
    cohort: Cohort
    lanes: np.ndarray

    @property
    def runs(self) -> np.ndarray:
        """The numbers of its runs in the sweep, in the order in which what they found is stored."""
        return self.cohort.runs[np.unique(self.lanes)]


@dataclass(frozen=True)
class Plan:
    """What will run.

    Attributes:
        experiments: all runs of the sweep.
        start: given parameters, rows or labels, the same for every run.
    """

    sweep: Sweep
    experiments: tuple[Any, ...]
    start: Start | None
    cohorts: tuple[Cohort, ...]

    @classmethod
    def of(
        cls,
        sweep: Sweep,
        devices: list[Any],
        start: Start | None = None,
        origin: Origin = NOWHERE,
        batches: int = 1,
    ) -> Plan:
        """Plan a sweep; arguments and errors as those of ``cohorts``."""
        experiments = tuple(sweep.experiments())
        return cls(sweep, experiments, start, tuple(cohorts(experiments, start, devices, None, origin, batches)))

    @classmethod
    def stored(cls, path: Path, sweep: Sweep, known: dict[str, Any], devices: list[Any]) -> Plan:
        """Return the plan of a store that an earlier session has made.

        Args:
            sweep: of the store, or one of as many runs and the same structure.
            known: the store's manifest.

        Raises:
            StoreError: if what it began from, or how its runs were batched, was lost.
        """
        sizes, start, origin = sizes_of(known), states.read_start(path, known), states.read_origin(path, known)
        experiments, found = tuple(sweep.experiments()), []
        runs = places = 0
        for more, count in generations(known, len(experiments)):
            mine = experiments[runs : runs + more], start, devices, sizes[places : places + count], origin
            found += [replace(cohort, runs=cohort.runs + runs) for cohort in cohorts(*mine)]
            runs, places = runs + more, places + count
        return cls(sweep, experiments, start, tuple(found))

    def batches(self, wanted: Collection[int] | None = None) -> Iterator[Planned]:
        """Yield the batches, or those of some numbers."""
        number = -1
        for place, cohort in enumerate(self.cohorts):
            for lanes in cohort.batches:
                number += 1
                if wanted is None or number in wanted:
                    yield Planned(number, place, cohort, lanes)

    def batch_of(self, run: int) -> Planned:
        """Return the batch of a run."""
        return next(batch for batch in self.batches() if run in batch.runs)

    def with_cohorts(self, changed: Collection[Cohort]) -> Plan:
        """Return the plan with its cohorts tuned."""
        return replace(self, cohorts=tuple(changed))

    def run_steps(self, wanted: Collection[int] | None = None) -> list[int]:
        """Return for every cohort the updates of all runs of the wanted batches together."""
        found = [0] * len(self.cohorts)
        for batch in self.batches(wanted):
            found[batch.place] += batch.cohort.length * len(batch.runs)
        return found

    @property
    def results_bytes(self) -> int:
        """Bytes of the results in memory."""
        found = [SimpleNamespace(steps=c.recorded, variables=c.variables) for c in self.cohorts]
        return layout(self.sweep, found).nbytes

    @property
    def snapshot_bytes(self) -> int:
        """Bytes of all snapshots, before they are compressed."""
        return sum(len(c.runs) * len(c.snapshots) * c.state_bytes for c in self.cohorts)

    def described(self) -> dict[str, Any]:
        """Return what a manifest says of the plan, from which ``stored`` makes it again."""
        return {
            "cohorts": [
                {
                    "runs": len(c.runs),
                    "batches": len(c.batches),
                    "runs_per_batch": c.width,
                    "devices": c.devices,
                    "lanes_per_block": c.block,
                    "train_rows": c.program.rows,
                    "rows_per_tile": c.program.tile,
                    "records": len(c.recorded),
                    "steps": c.length,
                }
                for c in self.cohorts
            ],
            "bytes_per_batch": [c.lane_bytes * len(c.batches[0]) for c in self.cohorts],
        }
