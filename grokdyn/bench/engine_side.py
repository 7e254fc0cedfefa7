"""The engine as a user calls it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr

from grokdyn.engine.run import run
from grokdyn.spec.record import At
from grokdyn.spec.sweep import Sweep

# Records every so many steps, of loss, accuracy and weight norm (the defaults of an Experiment).
EVERY = 50


class Engine:
    """All runs of a case; calling it is a whole ``gd.run``, planning and Dataset included.

    Args:
        runs: about how many, one per seed at every point of ``axes``.
        axes: dotted path -> values that are swept beside the seed, whose own values do not count.
    """

    def __init__(self, experiment: Any, runs: int, axes: Mapping[str, Sequence[Any]] | None = None):
        swept = {path: values for path, values in (axes or {}).items() if path != "seed"}
        self.experiment, points = experiment, math.prod(len(values) for values in swept.values())
        self.axes = {**swept, "seed": range(max(1, runs // points))}
        self.runs = points * len(self.axes["seed"])

    def __call__(self, steps: int) -> xr.Dataset:
        return run(Sweep(self.experiment.replace(steps=steps), self.axes), progress=False)

    def idle(self) -> xr.Dataset:
        """Do all that a ``gd.run`` does besides training: planning, start, one record, Dataset."""
        still = self.experiment.replace(steps=1, record=At((0,)))
        return run(Sweep(still, self.axes), progress=False)


def whole_records(steps: float) -> int:
    """Return the number of steps, at least one record apart, nearest to the given one."""
    return max(1, round(steps / EVERY)) * EVERY
