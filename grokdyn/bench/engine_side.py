"""The engine as a user calls it."""

from __future__ import annotations

from typing import Any

import xarray as xr

from grokdyn.engine.run import run
from grokdyn.spec.record import At
from grokdyn.spec.sweep import Sweep

# Records every so many steps, of loss, accuracy and weight norm (the defaults of an Experiment).
EVERY = 50


class Engine:
    """All runs of a case, one per seed; calling it is a whole ``gd.run``, planning and Dataset included."""

    def __init__(self, experiment: Any, runs: int):
        self.experiment, self.runs = experiment, runs

    def __call__(self, steps: int) -> xr.Dataset:
        return run(Sweep(self.experiment.replace(steps=steps), {"seed": range(self.runs)}), progress=False)

    def idle(self) -> xr.Dataset:
        """Do all that a ``gd.run`` does besides training: planning, start, one record, Dataset."""
        still = self.experiment.replace(steps=1, record=At((0,)))
        return run(Sweep(still, {"seed": range(self.runs)}), progress=False)


def whole_records(steps: float) -> int:
    """Return the number of steps, at least one record apart, nearest to the given one."""
    return max(1, round(steps / EVERY)) * EVERY
