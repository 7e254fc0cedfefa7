"""Single points in the plane of two axes as cells of different size: each reaches half way to the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from grokdyn.analysis import checks
from grokdyn.analysis.gridded import RUN

from .cell_axes import CellAxis

# Steps between neighbouring values may be this many times that of the grid on which all lie; so many values at most.
MULTIPLES, MOST_VALUES = 4, 512
UNEVEN = 0.02


@dataclass(frozen=True)
class Points:
    """Runs at single points on the finest even grid on which all of them lie.

    Attributes:
        x, y: names of the axes; values: of the grid along y and x; node: number of the nearest point of every cell
            [y, x]; own: whether that point is the cell's own [y, x]; runs: those of every point, -1 beyond the last
            [points, most runs].
    """

    x: str
    y: str
    values: tuple[np.ndarray, np.ndarray]
    node: np.ndarray
    own: np.ndarray
    runs: np.ndarray

    @property
    def counted(self) -> str:
        """How many runs cells have, in words."""
        found = sorted({*(self.runs >= 0).sum(1).tolist()})
        return f"{found[0]}" if len(found) == 1 else f"{found[0]} to {found[-1]}"

    def placed(self, source: xr.Dataset) -> xr.Dataset:
        """Return what every run has over (y, x, run), where run counts those of a cell; nan where there is none."""
        index = xr.DataArray(self.runs[self.node], dims=(self.y, self.x, "_run_of_cell"))
        bare = source.drop_vars([name for name, c in source.coords.items() if RUN in c.dims])
        found = bare.isel({RUN: index}).where(index >= 0).rename({"_run_of_cell": RUN})
        for name in found.data_vars:
            found[name].attrs = source[name].attrs
            if source[name].dtype.kind in "bi":  # codes and marks stay what they are
                absent = False if source[name].dtype.kind == "b" else -1
                found[name] = found[name].fillna(absent).astype(source[name].dtype)
        made = found.assign_coords({self.y: self.values[0], self.x: self.values[1]})
        for axis in (self.y, self.x):
            made[axis].attrs = source[axis].attrs if axis in source.coords else {}
        return made.assign_attrs(axes=f"{self.y} {self.x} {RUN}")

    def draw_borders(self, ax: Axes, across: CellAxis, up: CellAxis) -> None:
        """Draw the borders between the cells of different points."""
        lines = []
        for row, column in np.argwhere(self.node[:, 1:] != self.node[:, :-1]):
            edge = across.edges[column + 1]
            lines.append([(edge, up.edges[row]), (edge, up.edges[row + 1])])
        for row, column in np.argwhere(self.node[1:] != self.node[:-1]):
            edge = up.edges[row + 1]
            lines.append([(across.edges[column], edge), (across.edges[column + 1], edge)])
        ax.add_collection(LineCollection(lines, colors="white", linewidths=0.4))


def points(ds: xr.Dataset, x: str, y: str, grid: xr.Dataset | None = None) -> Points | None:
    """Return the points of a Dataset whose runs have both axes along `run`; nothing where they are dimensions.

    Args:
        grid: has coordinates x and y that are the grid's; default: the finest even ones on which all points lie.
    """
    from scipy.spatial import KDTree

    if any(axis not in ds.coords or ds[axis].dims != (RUN,) for axis in (x, y)):
        return None
    values, places = [], []
    for axis in (y, x):
        along = ds[axis].values
        if along.dtype.kind not in "iuf":
            raise checks.ArgumentError(f"{axis!r}: holds {along.dtype}; single points are drawn over axes of numbers.")
        fine = completed(np.unique(along)) if grid is None else np.asarray(grid[axis].values)
        values.append(fine)
        places.append(np.abs(np.searchsorted((fine[1:] + fine[:-1]) / 2, along)))
    nodes, which = np.unique(np.stack(places, axis=1), axis=0, return_inverse=True)
    which = which.ravel()
    order, count = np.argsort(which, kind="stable"), np.bincount(which)
    runs = np.full((len(nodes), count.max()), -1)
    runs[np.arange(count.max()) < count[:, None]] = order
    shape = (len(values[0]), len(values[1]))
    cells = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(-1, 2)
    gap, node = KDTree(nodes).query(cells, p=np.inf)
    return Points(x, y, (values[0], values[1]), np.reshape(node, shape), np.reshape(gap == 0, shape), runs)


def completed(values: np.ndarray) -> np.ndarray:
    """Return sorted values with those between of the coarsest grid that has all and is even, as they are or in log."""
    found = [full for grid in (np.asarray, np.log) if (full := even(values.astype(float), grid)) is not None]
    return min(found, key=len) if found else values


def even(values: np.ndarray, scale: Callable[[np.ndarray], np.ndarray]) -> np.ndarray | None:
    """Return values with those between that an even grid on a scale has; nothing where there is none."""
    if len(values) < 3 or (scale is np.log and values[0] <= 0):
        return None
    at = scale(values)
    for parts in range(1, MULTIPLES + 1):
        place = (at - at[0]) / (np.diff(at).min() / parts)
        nearest = np.round(place).astype(int)
        if np.abs(place - nearest).max() < UNEVEN * parts and nearest[-1] < MOST_VALUES:
            full = np.linspace(at[0], at[-1], nearest[-1] + 1)
            full = np.exp(full) if scale is np.log else full
            full[nearest] = values
            return full
    return None
