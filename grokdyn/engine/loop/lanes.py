"""Which lane of a batch trains which run, and how far each has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from grokdyn.engine.loop.watch import NEVER


@dataclass
class Lanes:
    """The lanes of a batch in their present order, all [lanes] but ``real``.

    Attributes:
        positions: into the cohort's runs.
        run_of: the run of the batch, in rising order of positions.
        active: trains still. Padding, which repeats the batch's last run, never does.
        ends_after: the step after which the run is over, or ``NEVER``.
        stopped_at: the step with which a stop rule ended it, or -1.
        real: the lane of every run that counts, the first of them [runs].
    """

    positions: np.ndarray
    run_of: np.ndarray
    active: np.ndarray
    ends_after: np.ndarray
    stopped_at: np.ndarray
    real: np.ndarray

    @classmethod
    def of(cls, positions: np.ndarray) -> Lanes:
        """Return lanes that have not begun."""
        _, real, run_of = np.unique(positions, return_index=True, return_inverse=True)
        active = np.zeros(len(positions), bool)
        active[real] = True
        ends, stops = np.full(len(positions), NEVER), np.full(len(positions), -1, np.int64)
        return cls(positions, run_of, active, ends, stops, real)

    def __len__(self) -> int:
        return len(self.positions)

    def move(self, places: np.ndarray) -> None:
        """Put the lanes that are at some places into the first, second, ... place."""
        for name in ("positions", "run_of", "active", "ends_after", "stopped_at"):
            setattr(self, name, getattr(self, name)[places])
        self.real = np.argsort(places)[self.real]

    def end(self, over: np.ndarray, stops: np.ndarray, trained: np.ndarray) -> np.ndarray:
        """End those that diverged or that a rule stopped; return which did.

        Args:
            over, stops: the steps at which that was, or ``NEVER``.
            trained: marks the lanes to look at.
        """
        stopped, ended = trained & (stops < over), trained & (np.minimum(stops, over) < NEVER)
        self.stopped_at[stopped] = stops[stopped]
        self.ends_after[ended] = np.minimum(stops, over)[ended]
        self.active[ended] = False
        return ended

    def saved(self) -> dict[str, np.ndarray]:
        """Return how far every run has come [runs]."""
        return {name: getattr(self, name)[self.real] for name in ("active", "ends_after", "stopped_at")}

    def restore(self, saved: Mapping[str, np.ndarray]) -> None:
        """Take up what ``saved`` returned; padding stays as it is."""
        self.active[self.real] = saved["active"]
        self.ends_after, self.stopped_at = (
            np.asarray(saved[name])[self.run_of] for name in ("ends_after", "stopped_at")
        )
