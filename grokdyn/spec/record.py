"""When to record: the steps at which every probe looks at the network."""

from __future__ import annotations

import numpy as np

from grokdyn.spec.base import Spec, field
from grokdyn.spec.rules import Count, Counts

# More would not fit in memory as soon as there are a few runs, and no figure shows them.
MOST_RECORDS = 1_000_000


class Record(Spec):
    """When to record. A record at step t sees the parameters after t updates."""

    def at(self, steps: int) -> np.ndarray:
        """Return the recorded steps of a run of ``steps`` updates: int64, increasing, in [0, steps]."""
        raise NotImplementedError


class Every(Record):
    """Record at 0, k, 2k, ... and at the last step."""

    steps: int = field(Count(), doc="k, the distance of records in steps")

    def at(self, steps: int) -> np.ndarray:
        return np.unique(np.append(np.arange(0, steps + 1, self.steps, dtype=np.int64), steps))


class LogSpaced(Record):
    """Record at 0 and at ``points`` steps spaced evenly in log(step), from 1 to the last step.

    Steps that coincide after rounding are recorded once, so there can be fewer.
    """

    points: int = field(Count(low=2, high=MOST_RECORDS), doc="how many records between step 1 and the last")

    def at(self, steps: int) -> np.ndarray:
        spaced = np.rint(np.geomspace(1, steps, self.points)).astype(np.int64)
        return np.unique(np.concatenate([[0], spaced, [steps]]))


class At(Record):
    """Record at the given steps, and only there."""

    steps: tuple[int, ...] = field(Counts(low=0, increasing=True), doc="the steps")

    def at(self, steps: int) -> np.ndarray:
        return np.asarray(self.steps, np.int64)
