"""Where what batches found belongs in the results of a sweep."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from grokdyn.probes.base import Variable

if TYPE_CHECKING:
    import xarray as xr

# The status of a run that is not there yet, or still in training.
MISSING = -1
STATUS = {
    "status": "status of the run",
    "diverged_at": "step whose loss was first not finite",
    "stopped_at": "last step of a run that a stop rule ended",
}
ITEM = 8


@dataclass(frozen=True)
class Layout:
    """The labels of results, and where a part's values belong in them.

    Attributes:
        sweep: has the ``shape`` (axis -> length), ``size``, ``coordinates`` and what is ``beside`` them of all runs.
        coordinates: of ``step`` and of every probe axis: all values that any part has.
        variables: what each is; of several descriptions the last.
    """

    sweep: Any
    coordinates: dict[str, np.ndarray]
    variables: dict[str, Variable]

    def dims(self, name: str) -> tuple[str, ...]:
        """Return the dimensions of a variable within one run."""
        return ("step", *self.variables[name].dims)

    def row(self, name: str) -> tuple[int, ...]:
        """Return the shape of what one run holds of a variable."""
        return tuple(len(self.coordinates[dim]) for dim in self.dims(name))

    @property
    def nbytes(self) -> int:
        """Return the bytes of all results in memory."""
        rows = sum(math.prod(self.row(name)) for name in self.variables)
        return ITEM * self.sweep.size * (rows + len(STATUS))

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a variable over the axes of the sweep."""
        return (*self.sweep.shape.values(), *self.row(name))

    def dataset(self, grids: Mapping[str, Any], status: Mapping[str, np.ndarray]) -> xr.Dataset:
        """Return the Dataset of arrays over the axes of the sweep; those of ``status`` are [all runs]."""
        import xarray as xr

        axes, shape = tuple(self.sweep.shape), tuple(self.sweep.shape.values())
        data: dict[str, Any] = {}
        for name, values in grids.items():
            attributes = {"long_name": self.variables[name].long_name, "units": self.variables[name].units}
            attributes |= {"part": self.variables[name].part} if self.variables[name].part else {}
            attributes |= {"every": self.variables[name].every} if self.variables[name].every else {}
            bound = self.variables[name].trusted_to
            attributes |= {"trusted_to": bound} if math.isfinite(bound) else {}
            data[name] = xr.Variable((*axes, *self.dims(name)), values, attributes)
        for name, values in status.items():
            data[name] = (axes, values.reshape(shape), {"long_name": STATUS[name]})
        data["status"][2].update(flag_values=[MISSING, 0, 1], flag_meanings="missing ok non_finite")
        swept = {name: labelled(values.tolist()) for name, values in self.sweep.coordinates.items()}
        beside = {name: (dim, labelled(values.tolist())) for name, (dim, values) in self.sweep.beside.items()}
        found = xr.Dataset(data, coords={**swept, **beside, **self.coordinates})
        found.attrs["axes"] = " ".join(axes)  # as text: netCDF has no lists of it
        found["step"].attrs.update(long_name="step", units="optimizer updates")
        return found


def layout(sweep: Any, parts: Iterable[Any]) -> Layout:
    """Return the layout of parts, or of whatever has their ``steps`` and ``variables``."""
    steps: set[int] = set()
    values: dict[str, dict[Any, None]] = {}
    variables: dict[str, Variable] = {}
    for part in parts:
        steps.update(np.asarray(part.steps).tolist())
        variables |= part.variables
        for variable in part.variables.values():
            for dim in variable.dims:
                values.setdefault(dim, {}).update(dict.fromkeys(np.asarray(variable.coordinates[dim]).tolist()))
    coordinates = {"step": labelled(sorted(steps)), **{dim: labelled(list(known)) for dim, known in values.items()}}
    return Layout(sweep, coordinates, variables)


def statuses(sweep: Any, parts: Iterable[Any]) -> dict[str, np.ndarray]:
    """Return how all runs of a sweep ended [all runs]."""
    found = {name: np.full(sweep.size, MISSING, np.int64) for name in STATUS}
    for part in parts:
        for name, values in found.items():
            values[part.runs] = part.status[name]
    return found


def labelled(values: Sequence[Any]) -> np.ndarray:
    """Return coordinate values as an array; text in the dtype that zarr has a format for."""
    text = all(isinstance(value, str) for value in values)
    return np.asarray(values, np.dtypes.StringDType() if text else None)


def places(runs: np.ndarray, steps: np.ndarray, variable: Variable, coordinates: Mapping[str, Any]) -> Any:
    """Return the index of some runs' values of a variable in an array [all runs, all steps, all coordinates]."""
    index = [runs, np.searchsorted(coordinates["step"], steps)]
    for dim in variable.dims:
        everywhere = {value: i for i, value in enumerate(coordinates[dim].tolist())}
        index.append(np.asarray([everywhere[v] for v in np.asarray(variable.coordinates[dim]).tolist()]))
    return np.ix_(*index)
