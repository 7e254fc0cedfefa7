"""From single points to a grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from . import checks

# The dimension of single points, and the status of a run that is not there.
RUN, MISSING = "run", -1


def to_grid(ds: xr.Dataset, axes: Sequence[str] | None = None) -> xr.Dataset:
    """Return results of single points as a grid; a cell without a point is nan, its status -1 as of a missing run.

    Args:
        ds: results with the dimension ``run`` and what varies along it.
        axes: the coordinates along ``run`` that become dimensions, in this order; default: all that vary.

    Returns:
        The Dataset with a dimension for every axis in place of ``run``, of its values in rising order, names in that of
        the points. What else varies along ``run`` is a coordinate over the grid.

    Raises:
        ArgumentError: for results without points, an axis that is none, or two points in one cell.
    """
    checks.dimension(ds, RUN, "ds: the dimension of single points")
    along = {str(name): values.values for name, values in ds.coords.items() if values.dims == (RUN,) and name != RUN}
    varied = [name for name, values in along.items() if len(set(values.tolist())) > 1]
    names = varied if axes is None else [checks.dimension(ds, name, "axes", along) for name in axes]
    values = {name: labels(along[name]) for name in names}
    shape = tuple(map(len, values.values()))
    places = [ranks(values[name], along[name]) for name in names]
    cells = np.ravel_multi_index(places, shape) if names else np.zeros(ds.sizes[RUN], np.int64)
    if len(np.unique(cells)) < len(cells):
        told = f"several points are in one cell. What varies along run: {checks.listed(varied)}."
        raise checks.ArgumentError(f"axes={names!r}: {told}")
    found = {name: spread(array, names, shape, cells) for name, array in ds.data_vars.items()}
    others = {name: spread(ds[name], names, shape, cells) for name in varied if name not in names}
    kept = {name: array for name, array in ds.coords.items() if RUN not in array.dims}
    single = {name: along[name][0] for name in along if name not in varied and name not in names}
    made = xr.Dataset(found, {**values, **kept, **others, **single}, ds.attrs)
    before = [axis for axis in checks.swept_axes(ds) if axis != RUN]
    return made.assign_attrs(axes=" ".join([*names, *before]))


def sorts(values: np.ndarray) -> bool:
    return values.dtype.kind in "biuf"


def labels(values: np.ndarray) -> np.ndarray:
    """Return the distinct values: numbers in rising order, names as they come."""
    return np.unique(values) if sorts(values) else np.asarray(list(dict.fromkeys(values.tolist())), values.dtype)


def ranks(known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the place of every value among the distinct ones."""
    places = {value: i for i, value in enumerate(known.tolist())}
    return np.asarray([places[value] for value in values.tolist()])


def spread(array: xr.DataArray, names: list[str], shape: tuple[int, ...], cells: np.ndarray) -> xr.Variable:
    """Return a variable along ``run`` over the cells of a grid."""
    if RUN not in array.dims:
        return array.variable
    values = array.transpose(RUN, ...).values
    if array.name in ("status", "diverged_at", "stopped_at"):
        flat = np.full((int(np.prod(shape)), *values.shape[1:]), MISSING, values.dtype)
    elif values.dtype.kind in "biuf":
        flat = np.full((int(np.prod(shape)), *values.shape[1:]), np.nan)
    else:
        flat = np.full((int(np.prod(shape)), *values.shape[1:]), "", values.dtype)
    flat[cells] = values
    rest = [dim for dim in array.dims if dim != RUN]
    return xr.Variable([*names, *rest], flat.reshape(*shape, *values.shape[1:]), array.attrs)
