"""Which panel shows which values of the axes, and what is written around the panels."""

from collections.abc import Sequence
from itertools import product

import matplotlib.figure
import xarray as xr
from matplotlib.axes import Axes

from grokdyn.analysis import checks

from . import style

MAX_PANELS, MAX_COLUMNS = 36, 6
Cell = dict[str, int]


def facet_axes(ds: xr.Dataset, arrays: Sequence[xr.DataArray], taken: Sequence[str | None]) -> tuple[str, ...]:
    """Return the axes with several values that must be spread over panels: at most two, at most 36 panels."""
    found = {str(d): a.sizes[d] for a in arrays for d in a.dims if d not in taken and a.sizes[d] > 1}
    axes = tuple(str(d) for d in ds.dims if d in found)
    panels = 1
    for axis in axes:
        panels *= found[axis]
    if len(axes) > 2 or panels > MAX_PANELS:
        sizes = checks.listed(f"{axis} ({found[axis]})" for axis in axes)
        raise checks.ArgumentError(
            f"ds: the axes {sizes} make {panels} panels in {len(axes)} directions; at most {MAX_PANELS} in 2 are drawn."
            f" Select first, e.g. ds.isel({next(iter(axes))}=0), or put one into colour with hue."
        )
    return axes


def new_panels(ds: xr.Dataset, axes: tuple[str, ...]) -> tuple[style.Figure, list[tuple[Axes, Cell]]]:
    """Make a figure with a titled panel for every cell: one axis in reading order, two as rows and columns."""
    sizes = [ds.sizes[axis] for axis in axes]
    cells = [dict(zip(axes, index, strict=True)) for index in product(*map(range, sizes))]
    columns = sizes[1] if len(axes) == 2 else _columns(len(cells))
    rows = -(-len(cells) // columns)
    width, height = (4.2, 2.4) if len(cells) == 1 else (min(0.7 + 1.6 * columns, 7.2), 0.7 + 1.25 * rows)
    figure = style.new_figure(width, height)
    panels = list(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat)
    for empty in panels[len(cells) :]:
        empty.remove()
    for ax in panels[max(len(cells) - columns, 0) : len(cells)]:
        ax.tick_params(labelbottom=True)
    placed = list(zip(panels, cells, strict=False))
    for index, (ax, cell) in enumerate(placed):
        room = int(0.9 * width / columns / 0.06)  # characters of 7 points over a panel
        _title(ax, ds, cell, room, index < columns, index % columns == columns - 1)
    return figure, placed


def _columns(cells: int) -> int:
    """Spread cells evenly over rows of at most six panels."""
    rows = -(-cells // MAX_COLUMNS)
    return -(-cells // rows)


def cell_words(ds: xr.Dataset, axis: str, index: int) -> str:
    coordinate = ds[axis]  # counts 0, 1, ... where the axis has no values
    value = style.number(coordinate.values.tolist()[index])
    units = style.plain(coordinate.attrs.get("units", "1"))
    return f"{style.name_of(coordinate)} = {value}" + (f" {units}" if units not in ("1", "") else "")


def _title(ax: Axes, ds: xr.Dataset, cell: Cell, room: int, top: bool, right: bool) -> None:
    words = [cell_words(ds, axis, index) for axis, index in cell.items()]
    words = [text if len(text) <= room else text.replace(" = ", "\n= ") for text in words]
    if len(words) == 1:
        ax.set_title(words[0], fontsize=7)
    elif words:
        if top:
            ax.set_title(words[1], fontsize=7)
        if right:
            ax.annotate(words[0], (1.03, 0.5), xycoords="axes fraction", rotation=-90, va="center", fontsize=7)


def write_around(figure: matplotlib.figure.Figure, panels: Sequence[Axes], xlabel: str, ylabel: str) -> None:
    """Write the shared labels once: at the only panel, else around all of them."""
    if len(panels) == 1:
        panels[0].set(xlabel=xlabel, ylabel=ylabel)
        return
    figure.supxlabel(xlabel, fontsize=8)
    figure.supylabel(ylabel, fontsize=8)
