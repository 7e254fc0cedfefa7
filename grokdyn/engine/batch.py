"""One batch of lanes on its way: chunk after chunk, lanes that are over left out, its state saved and restored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from grokdyn.engine.plan import Cohort
from grokdyn.engine.results import Part
from grokdyn.probes.base import Variable
from grokdyn.train.compiled import advance_lanes, begin_lanes, placed
from grokdyn.train.lane import OK

# One number larger than any step.
NEVER = np.iinfo(np.int64).max


class Batch:
    """The runs of one batch.

    Between chunks the host looks at what was recorded: a run whose loss was not finite, or to which a stop rule
    applies, is over. Its lane is left out of the chunks that follow, and its records after its end are nan. So the
    results are those of the same rules applied afterwards to runs of full length, whatever the chunks.
    """

    def __init__(self, cohort: Cohort, lanes: np.ndarray, mesh: Any, shared: Any):
        self.cohort, self.lanes, self.mesh = cohort, lanes, mesh
        self.table, start = shared
        self.static = {"program": cohort.program, "mesh": mesh, "block": cohort.block}
        numbers = placed(jax.tree.map(lambda column: column[lanes], cohort.experiments), mesh, sharded=True)
        self.constants, self.states = begin_lanes(numbers, self.table, start, **self.static)
        # Padding repeats the batch's last run: the first lane of a run is the one that counts.
        self.real = np.unique(lanes, return_index=True)[1]
        self.active = np.zeros(len(lanes), bool)
        self.active[self.real] = True
        self.chunk = 0
        self.ends_after = np.full(len(lanes), NEVER)
        self.stopped_at = np.full(len(lanes), -1, np.int64)
        self.records: dict[str, np.ndarray] = {}
        experiments = [jax.tree.map(lambda column, i=i: column[i], cohort.experiments) for i in lanes]
        self.rules = [experiment.stop for experiment in experiments]

    @property
    def size(self) -> int:
        """Number of runs."""
        return len(self.real)

    @property
    def done(self) -> bool:
        """Whether every run of the batch is over."""
        return self.chunk >= len(self.cohort.chunks) or not self.active.any()

    @property
    def step(self) -> int:
        """How far the batch has come."""
        return (
            int(self.cohort.pauses[min(self.chunk * self.cohort.chunk, len(self.cohort.pauses)) - 1])
            if self.chunk
            else 0
        )

    def advance(self) -> None:
        """Train the active lanes for one chunk."""
        stretches = self.cohort.chunks[self.chunk]
        order, counts = self.placement()
        self.states, found = advance_lanes(
            self.constants,
            self.states,
            placed(order, self.mesh, sharded=True),
            placed(counts, self.mesh, sharded=True),
            self.table,
            placed(stretches, self.mesh, sharded=False),
            **self.static,
        )
        trained = self.active.copy()
        self.keep(jax.device_get(found), trained)
        self.chunk += 1
        self.end_runs(trained)

    def placement(self) -> tuple[np.ndarray, np.ndarray]:
        """Return for each device the places of its lanes, the active ones first, and how many are active."""
        active = self.active.reshape(self.cohort.devices, -1)
        order = np.argsort(~active, axis=1, kind="stable").astype(np.int32)
        return order.ravel(), active.sum(axis=1).astype(np.int32)

    def keep(self, found: Mapping[str, np.ndarray], trained: np.ndarray) -> None:
        """Write a chunk's records where they belong; pauses that are not recorded fall away."""
        first = self.chunk * self.cohort.chunk
        pauses = self.cohort.pauses[first : first + self.cohort.chunk]
        wanted = np.flatnonzero(np.isin(pauses, self.cohort.recorded))
        places = np.searchsorted(self.cohort.recorded, pauses[wanted])
        for name, values in found.items():
            if name not in self.records:
                shape = (len(self.lanes), len(self.cohort.recorded), *values.shape[2:])
                self.records[name] = np.full(shape, np.nan)
            self.records[name][np.ix_(trained, places)] = values[np.ix_(trained, wanted)]

    def end_runs(self, trained: np.ndarray) -> None:
        """Find the runs that are over and drop what they recorded after their end."""
        states = jax.device_get({"status": self.states.status, "diverged_at": self.states.diverged_at})
        seen = int(np.searchsorted(self.cohort.recorded, self.step, side="right"))
        steps = self.cohort.recorded[:seen]
        for lane in np.flatnonzero(trained):
            if states["status"][lane] != OK:
                self.ends_after[lane] = states["diverged_at"][lane]
            for rule in self.rules[lane]:
                place = rule.stops_at(steps, {name: self.records[name][lane, :seen] for name in rule.needs()})
                if place is not None and steps[place] < self.ends_after[lane]:
                    self.ends_after[lane] = self.stopped_at[lane] = steps[place]
            if self.ends_after[lane] < NEVER:
                self.active[lane] = False
                late = self.cohort.recorded > self.ends_after[lane]
                for values in self.records.values():
                    values[lane, late] = np.nan

    def part(self) -> Part:
        """Return what the batch has found."""
        states = jax.device_get({"status": self.states.status, "diverged_at": self.states.diverged_at})
        diverged = (states["status"] != OK) & (self.stopped_at < 0)
        status = {
            "status": np.where(diverged, states["status"], OK),
            "diverged_at": np.where(diverged, states["diverged_at"], -1),
            "stopped_at": self.stopped_at,
        }
        return Part(
            self.cohort.runs[self.lanes[self.real]],
            self.cohort.recorded,
            variables(self.cohort),
            {name: values[self.real] for name, values in self.records.items()},
            {name: values[self.real] for name, values in status.items()},
        )

    def saved(self) -> dict[str, Any]:
        """Return all that a later process needs to go on from here, as a tree of arrays."""
        return {
            "chunk": np.int64(self.chunk),
            "active": self.active,
            "ends_after": self.ends_after,
            "stopped_at": self.stopped_at,
            "records": dict(self.records),
            "states": {str(i): np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(jax.device_get(self.states)))},
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Go on from what ``saved`` returned."""
        self.chunk = int(saved["chunk"])
        self.active, self.ends_after, self.stopped_at = (
            np.array(saved[name]) for name in ("active", "ends_after", "stopped_at")
        )
        self.records = {name: np.array(values) for name, values in saved["records"].items()}
        leaves = [saved["states"][str(i)] for i in range(len(saved["states"]))]
        self.states = placed(jax.tree.unflatten(jax.tree.structure(self.states), leaves), self.mesh, sharded=True)


def variables(cohort: Cohort) -> dict[str, Variable]:
    """Return the variables of all probes of a cohort."""
    found: dict[str, Variable] = {}
    for probe in cohort.template.probes:
        found |= probe.variables(cohort.shapes)
    return found
