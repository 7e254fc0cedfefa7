"""A fitted boundary and its band, over a diagram."""

from __future__ import annotations

import matplotlib.patheffects as effects
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from grokdyn.analysis import checks

from . import style
from .cell_axes import CellAxis

FINER, ALPHA = 8, 0.5
# Characters of a question that stands beside another in the legend.
LONGEST = 24
# The quantile that `half_width` is a multiple of the standard error by.
NORMAL = 1.96
LOOKS = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (4, 1.2, 1, 1.2)), (0, (6, 1)))


def axes_of(fit: xr.Dataset) -> tuple[str, str]:
    """Return the axes x and y of a fit.

    Raises:
        ArgumentError: if it is none.
    """
    if not {"surface", "half_width", "critical"} <= set(checks.dataset(fit).data_vars):
        raise checks.ArgumentError("boundary: expected what gd.analysis.boundary or gd.boundary(...).fit returns.")
    y, x = fit["surface"].dims[1:]
    return str(x), str(y)


def draw(ax: Axes, fit: xr.Dataset, across: CellAxis, up: CellAxis, x: str, y: str) -> None:
    """Draw the line of every question, the first solid, and the band of all; name them below the diagram."""
    cells = [dense(fit.sizes[axis]) for axis in (x, y)]
    at = [place(axis, fit[name].values, c) for axis, name, c in zip((across, up), (x, y), cells, strict=True)]
    handles, bands = [], []
    for number, name in enumerate(fit["question"].values):
        points = np.flatnonzero(fit["of"].values == number)
        if not len(points):
            continue
        one, look = fit.isel(question=number, point=points), LOOKS[number % len(LOOKS)]
        bands.append(beyond(one, cells, x, y))
        surface = zoomed(one["surface"].transpose(y, x).values)
        drawn = ax.contour(*at, surface, levels=[0], colors=[style.INK], linestyles=[look], linewidths=1.1)
        drawn.set_path_effects([effects.withStroke(linewidth=2.2, foreground="white")])
        handles.append(Line2D([], [], color=style.INK, linestyle=look, linewidth=1.1, label=style.plain(name)))
    if handles:
        ax.contourf(*at, np.min(bands, axis=0), levels=[-np.inf, 0], colors=["white"], alpha=ALPHA)
        band = Patch(facecolor="white", edgecolor=style.INK, linewidth=0.4, label="band of the whole line")
        columns = 1 if max(len(str(handle.get_label())) for handle in handles) > LONGEST else 2
        ax.figure.legend(handles=[*handles, band], loc="outside lower center", ncols=columns)


def dense(count: int) -> np.ndarray:
    """Return places along an axis of a fine grid, in its cells."""
    return np.linspace(0, count - 1, FINER * (count - 1) + 1)


def zoomed(values: np.ndarray) -> np.ndarray:
    """Return values over a fine grid at the places between, by cubic splines along both axes."""
    from scipy.interpolate import make_interp_spline

    for axis, count in enumerate(values.shape):
        values = make_interp_spline(np.arange(count), values, axis=axis)(dense(count))
    return values


def beyond(one: xr.Dataset, cells: list[np.ndarray], x: str, y: str) -> np.ndarray:
    """Return how far places are beyond the band, in cells [y, x]: below 0 in it."""
    from scipy.spatial import KDTree

    line = [np.interp(one[f"line_{s}"], one[axis], np.arange(one.sizes[axis])) for s, axis in (("x", x), ("y", y))]
    width = one["half_width"].values * float(one["critical"]) / NORMAL
    places = np.stack(np.meshgrid(*cells), axis=-1)
    distance, nearest = KDTree(np.stack(line, axis=1)).query(places)
    return distance - width[nearest]


def place(axis: CellAxis, values: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return where places between the values of a fine grid lie on the axis of a diagram."""
    number = np.arange(len(values))
    if axis.scale == "log":
        return np.exp(np.interp(cells, number, np.log(values)))
    if axis.scale == "category":
        return np.interp(cells, number, axis.centres) if len(axis.centres) == len(values) else cells
    return np.interp(cells, number, values)
