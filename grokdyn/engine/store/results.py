"""Records of batches -> one labelled Dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from grokdyn.engine.host.progress import Tally
from grokdyn.engine.store.grid import Grid
from grokdyn.engine.store.layout import MISSING, STATUS, layout, places, statuses
from grokdyn.engine.store.lazy import StoredPart, fits, lazily
from grokdyn.probes.base import Variable
from grokdyn.spec.sweep import Sweep
from grokdyn.train.lane import OK

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["MISSING", "STATUS", "Part", "dataset", "joined", "places"]


@dataclass(frozen=True)
class Part:
    """What one batch found.

    Attributes:
        runs: numbers of its runs in the sweep [lanes].
        steps: recorded steps [records].
        variables: what each array is.
        arrays: name -> [lanes, records, *dims], and the arrays of ``STATUS`` [lanes].
    """

    runs: np.ndarray
    steps: np.ndarray
    variables: dict[str, Variable]
    arrays: dict[str, np.ndarray]
    status: dict[str, np.ndarray] = field(default_factory=dict)

    def array(self, name: str) -> np.ndarray:
        """Return the array of a variable."""
        return self.arrays[name]

    def ends(self) -> np.ndarray:
        """Return the step after which every run is over; one that was never ended has none [runs]."""
        never = np.full(len(self.runs), np.iinfo(np.int64).max)
        ended = [np.where(at >= 0, at, never) for at in (self.status["diverged_at"], self.status["stopped_at"])]
        return np.minimum(*ended)

    def tally(self) -> Tally:
        """Return how the runs ended."""
        diverged, stopped = self.status["status"] != OK, self.status["stopped_at"] >= 0
        return Tally(int((~diverged & ~stopped).sum()), int(stopped.sum()), int(diverged.sum()))


def joined(parts: Sequence[Part]) -> Part:
    """Return several parts of one cohort as one."""

    def together(which: str) -> dict[str, np.ndarray]:
        return {name: np.concatenate([getattr(p, which)[name] for p in parts]) for name in getattr(parts[0], which)}

    runs = np.concatenate([part.runs for part in parts])
    return Part(runs, parts[0].steps, parts[0].variables, together("arrays"), together("status"))


def dataset(sweep: Sweep | Grid, parts: Sequence[Any], keep: bool = True) -> xr.Dataset:
    """Return the Dataset of a sweep, dims (axes..., step, ...); what no part has is nan, its status -1.

    Of several parts that hold the same run, the last counts. Parts whose arrays lie on the disk stay there, and are
    read when they are asked for, where all of them together are large.

    Args:
        keep: leave the parts as they are; else every array of theirs goes once it is in its place, so that little more
            memory is taken than the parts or the Dataset take alone.
    """
    found = layout(sweep, parts)
    if any(isinstance(part, StoredPart) for part in parts) and not fits(found.nbytes):
        return found.dataset({name: lazily(found, parts, name) for name in found.variables}, statuses(sweep, parts))
    grids = {}
    for name in found.variables:
        flat = np.full((sweep.size, *found.row(name)), np.nan)
        for part in parts:
            if name in part.variables:
                flat[places(part.runs, part.steps, part.variables[name], found.coordinates)] = part.array(name)
                if not keep:
                    part.arrays.pop(name)
        grids[name] = flat.reshape(found.shape(name))
    return found.dataset(grids, statuses(sweep, parts))
