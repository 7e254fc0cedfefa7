"""A cohort: runs that share a compiled program, and the batches of lanes they are cut into."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import numpy as np

from grokdyn.engine.host.memory import COPIES
from grokdyn.probes.base import Variable
from grokdyn.probes.cadence import declared, due, pauses_due
from grokdyn.tasks.base import Table
from grokdyn.tasks.shapes import Shapes
from grokdyn.train.lane import Program
from grokdyn.train.origin import Origin
from grokdyn.train.start import Given


@dataclass(frozen=True)
class Cohort:
    """Runs with one structure.

    Attributes:
        runs: their numbers in the sweep.
        experiments: one pytree, leaves stacked as float64 or int64 [runs].
        template: the experiment of the first run.
        table: the task's table, or None where each run draws its own.
        program, shapes: what the compiled functions and the probes need to know.
        given: a checked Start, or None.
        lane_bytes: of one lane's constants, state and records.
        width: runs per batch.
        order: positions into ``runs``, those with few train rows first, as they are cut into batches.
        devices: how many devices share a batch; block: lanes vmapped together.
        recorded: the steps to record.
        snapshots: the steps whose state is kept.
        schedule: steps [chunks, pauses] at which the calls of the compiled program, all equally long, hand out records:
            the recorded ones and some between. A chunk that a snapshot ends is filled up by repeating its last step.
        origin: the stored state that the runs go on from, if any.
        state_bytes: of one run's state, as a snapshot keeps it.
    """

    runs: np.ndarray
    experiments: Any
    template: Any
    table: Table | None
    program: Program
    shapes: Shapes
    given: Given | None
    lane_bytes: int
    width: int
    order: np.ndarray
    devices: int
    block: int
    recorded: np.ndarray
    snapshots: np.ndarray
    schedule: np.ndarray
    origin: Origin
    state_bytes: int = 0

    @cached_property
    def batches(self) -> list[np.ndarray]:
        """Positions into ``runs``, one array of equal length per batch; the last run is repeated to fill it."""
        return cut(self.order, self.width, self.devices, self.block)

    @property
    def variables(self) -> dict[str, Variable]:
        """The variables of all probes."""
        found: dict[str, Variable] = {}
        for probe in self.template.probes:
            found |= declared(probe, self.shapes)
        return found

    @property
    def measured_at(self) -> dict[str, np.ndarray]:
        """Name of a variable with a cadence -> which of the recorded steps measure it, bool."""
        return {name: due(self.recorded, v.every) for name, v in self.variables.items() if v.every}

    def due(self, pauses: np.ndarray) -> dict[str, np.ndarray]:
        """Return at which pauses the probes of every cadence measure, see ``probes.cadence``."""
        return pauses_due(pauses, self.recorded, self.template.probes)

    @property
    def first_step(self) -> int:
        return self.origin.step

    @property
    def last_step(self) -> int:
        return int(self.schedule[-1, -1])

    @property
    def length(self) -> int:
        """Updates of a run that is not ended early."""
        return self.last_step - self.first_step

    @property
    def stretches(self) -> np.ndarray:
        """Updates before each pause, int32 [chunks, pauses]."""
        made = np.diff(self.schedule.ravel(), prepend=self.first_step).astype(np.int32)
        return made.reshape(self.schedule.shape)

    @property
    def update_operations(self) -> float:
        """A rough number of floating-point operations of an update of a run: six a parameter, row and gradient."""
        rows = self.template.gradients() * (self.template.batch_size or self.program.rows)
        return 6.0 * sum(leaf.size for leaf in jax.tree.leaves(self.shapes.params)) * rows

    def bytes_of(self, lanes: int) -> int:
        """Return the bytes that so many lanes take, copies included."""
        return COPIES * self.lane_bytes * lanes

    def in_blocks(self, block: int) -> Cohort:
        """Return the cohort with lanes that devices take in blocks of another size."""
        return replace(self, block=block)


def cut(order: np.ndarray, width: int, devices: int, block: int) -> list[np.ndarray]:
    """Cut runs, sorted by their number of train rows, into batches; of one, each device gets small and large alike.

    A batch is filled up to whole blocks by repeating its last run.
    """
    lanes = -(-width // (devices * block)) * devices * block
    batches = [order[first : first + width] for first in range(0, len(order), width)]
    return [dealt(np.append(b, np.full(lanes - len(b), b[-1])), devices) for b in batches]


def dealt(order: np.ndarray, devices: int) -> np.ndarray:
    """Return what comes first, second, ... dealt to the devices in turn, those of the first device in front."""
    return order.reshape(-1, devices).T.ravel()
