"""Records of batches -> one labelled Dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from grokdyn.engine.grid import Grid
from grokdyn.engine.progress import Tally
from grokdyn.probes.base import Variable
from grokdyn.spec.sweep import Sweep
from grokdyn.train.lane import OK

# The status of a run that is not there yet, or still in training.
MISSING = -1
STATUS = {
    "status": "status of the run",
    "diverged_at": "step whose loss was first not finite",
    "stopped_at": "last step of a run that a stop rule ended",
}


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


def dataset(sweep: Sweep | Grid, parts: Sequence[Part]) -> xr.Dataset:
    """Return the Dataset of a sweep, dims (axes..., step, ...); what no part has is nan, its status -1.

    Of several parts that hold the same run, the last counts.
    """
    coordinates = united(parts)
    shape = tuple(sweep.shape.values())
    names = {name: v for part in parts for name, v in part.variables.items()}
    data: dict[str, Any] = {}
    for name, variable in names.items():
        dims = ("step", *variable.dims)
        flat = np.full((sweep.size, *(len(coordinates[d]) for d in dims)), np.nan)
        for part in parts:
            if name in part.arrays:
                flat[places(part.runs, part.steps, part.variables[name], coordinates)] = part.arrays[name]
        attributes = {"long_name": variable.long_name, "units": variable.units}
        data[name] = ((*sweep.shape, *dims), flat.reshape(*shape, *flat.shape[1:]), attributes)
    for name, long_name in STATUS.items():
        flat = np.full(sweep.size, MISSING, np.int64)
        for part in parts:
            flat[part.runs] = part.status[name]
        data[name] = (tuple(sweep.shape), flat.reshape(shape), {"long_name": long_name})
    data["status"][2].update(flag_values=[MISSING, 0, 1], flag_meanings="missing ok non_finite")
    found = xr.Dataset(data, coords={**sweep_coordinates(sweep), **coordinates})
    found.attrs["axes"] = list(sweep.shape)
    found["step"].attrs.update(long_name="step", units="optimizer updates")
    return found


def sweep_coordinates(sweep: Sweep | Grid) -> dict[str, np.ndarray]:
    return {name: labelled(values.tolist()) for name, values in sweep.coordinates.items()}


def united(parts: Sequence[Part]) -> dict[str, np.ndarray]:
    """Return the coordinates of ``step`` and of every probe axis: all values that any part has."""
    found: dict[str, list[Any]] = {"step": sorted({int(s) for part in parts for s in part.steps})}
    for part in parts:
        for variable in part.variables.values():
            for dim in variable.dims:
                values = found.setdefault(dim, [])
                values += [v for v in np.asarray(variable.coordinates[dim]).tolist() if v not in values]
    return {dim: labelled(values) for dim, values in found.items()}


def labelled(values: Sequence[Any]) -> np.ndarray:
    """Return coordinate values as an array; text in the dtype that zarr has a format for."""
    text = all(isinstance(value, str) for value in values)
    return np.asarray(values, np.dtypes.StringDType() if text else None)


def places(runs: np.ndarray, steps: np.ndarray, variable: Variable, coordinates: Mapping[str, Any]) -> Any:
    """Return the index of some runs' values of a variable in an array [all runs, all steps, all coordinates]."""
    index = [runs, np.searchsorted(coordinates["step"], steps)]
    for dim in variable.dims:
        everywhere = coordinates[dim].tolist()
        index.append(np.asarray([everywhere.index(v) for v in np.asarray(variable.coordinates[dim]).tolist()]))
    return np.ix_(*index)
