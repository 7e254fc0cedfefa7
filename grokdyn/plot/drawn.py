"""The data of what was drawn, panel by panel."""

from typing import Any

import matplotlib.figure
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.container import BarContainer
from matplotlib.lines import Line2D

from grokdyn.analysis import checks


def drawn(figure: matplotlib.figure.Figure | Axes) -> list[dict[str, Any]]:
    """Return the numbers behind a figure, or one panel of it, as they were drawn.

    A list with an entry for every line, band, map of cells, set of points and set of bars, in the order of drawing:
    `panel` (its number), `title`, `xlabel`, `ylabel`, `kind` (line, band, cells, points, bars), `label` (of the
    legend, or ""), `x`, `y`, in the units of the axes; `values` [rows, columns] of cells, whose `x` and `y` are edges.
    nan is no value. What a legend alone shows is left out.

    Raises ValueError for what is neither a Figure nor Axes.
    """
    if isinstance(figure, Axes):
        panels = [figure]
    elif isinstance(figure, matplotlib.figure.FigureBase):
        panels = [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]
    else:
        raise checks.ArgumentError(f"figure: expected a Figure or Axes, got {type(figure).__name__}.")
    return [entry for number, ax in enumerate(panels) for entry in of_panel(ax, number)]


def of_panel(ax: Axes, number: int) -> list[dict[str, Any]]:
    """Return what one panel holds."""
    about = {"panel": number, "title": ax.get_title(), "xlabel": ax.get_xlabel(), "ylabel": ax.get_ylabel()}
    found = []
    for artist in (*ax.lines, *ax.collections, *ax.containers):
        data = of_artist(artist)
        if data is not None and np.size(data["x"]):
            label = str(artist.get_label() or "")
            found.append({**about, "label": "" if label.startswith("_") else label, **data})
    return found


def of_artist(artist: Any) -> dict[str, Any] | None:
    """Return kind and numbers of an artist; nothing of one that shows no data."""
    if isinstance(artist, Line2D):
        return {"kind": "line", "x": np.asarray(artist.get_xdata(), float), "y": np.asarray(artist.get_ydata(), float)}
    if isinstance(artist, QuadMesh):
        corners, values = np.asarray(artist.get_coordinates()), artist.get_array()
        shape = corners.shape[0] - 1, corners.shape[1] - 1
        cells = np.ma.filled(np.ma.asarray(values, float), np.nan).reshape(shape)
        return {"kind": "cells", "x": corners[0, :, 0], "y": corners[:, 0, 1], "values": cells}
    if isinstance(artist, PathCollection):
        return {"kind": "points", **dict(zip("xy", np.ma.filled(artist.get_offsets(), np.nan).T, strict=True))}
    if isinstance(artist, BarContainer):
        bars = [(bar.get_x() + bar.get_width() / 2, bar.get_height()) for bar in artist.patches]
        return {"kind": "bars", **dict(zip("xy", np.asarray(bars, float).reshape(-1, 2).T, strict=True))}
    if type(artist).__name__ in ("FillBetweenPolyCollection", "PolyCollection") and artist.get_paths():
        return {"kind": "band", **dict(zip("xy", artist.get_paths()[0].vertices.T, strict=True))}
    return None
