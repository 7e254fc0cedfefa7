"""Draw cells: a quantity with a colour bar, phases with a legend, marks on single cells."""

import math
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap, LogNorm, Normalize
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import withStroke

from grokdyn.analysis.classify import PHASES

from . import style
from .cell_axes import CellAxis, cell_axis
from .points import Points

BESIDE = {"loc": "upper left", "bbox_to_anchor": (1.02, 1.02), "borderaxespad": 0.0}
Entries = dict[str, Any]  # legend text -> handle
ABOVE = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.2}


def draw_values(
    ax: Axes, field: xr.DataArray, outer: bool = True, brief: bool = False, points: Points | None = None
) -> None:
    """Draw a quantity over (y, x) with a colour bar; cells without a value are hatched. Brief: no names, no legend.

    Args:
        points: whose cells the borders are drawn of, in place of all.
    """
    values = np.ma.masked_invalid(field.values)
    colors = "viridis" if field.attrs["limits"] else "cividis_r"
    drawn = _mesh(ax, field, values, outer, cmap=colors, norm=_norm(values, field.attrs["limits"]), points=points)
    bar = ax.figure.colorbar(drawn, ax=ax, pad=0.02, fraction=0.06, aspect=18)
    words = [field.attrs["statistic"]] if brief else [field.attrs["label"], field.attrs["statistic"]]
    bar.set_label("\n".join(filter(None, words)))
    bar.outline.set_linewidth(0.5)  # type: ignore[operator]
    if isinstance(drawn.norm, LogNorm):
        ticks = _log_ticks(float(values.min()), float(values.max()))
        bar.set_ticks(ticks, labels=[style.number(t) for t in ticks])
        bar.minorticks_off()
    entries = hatch_entries({"": field})
    if entries and not brief:
        ax.legend(entries.values(), entries, **ABOVE)


def hatch_entries(panels: dict[str, xr.DataArray]) -> Entries:
    """Explain the hatched cells of panels, by letter; a panel without a letter stands alone."""
    told = {f"{name}: {p.attrs['absent']}".removeprefix(": "): p for name, p in panels.items()}
    return {text: Patch(**style.NO_VALUE) for text, p in told.items() if p.isnull().any()}


def draw_phases(
    ax: Axes, field: xr.Dataset, outer: bool = True, brief: bool = False, points: Points | None = None
) -> None:
    """Draw the commonest phase of every cell; where runs disagree an inner square shows the second, by area."""
    values = np.ma.masked_invalid(field["phase"].values)
    colors = style.phase_colors(len(names_of(field)))
    norm = BoundaryNorm(np.arange(len(colors) + 1) - 0.5, len(colors))
    _mesh(ax, field["phase"], values, outer, cmap=ListedColormap(colors), norm=norm, points=points)
    across, up = (cell_axis(field[d]) for d in reversed(field["phase"].dims))
    shown = field["second"].values >= 0
    for row, column in np.argwhere(shown if points is None else shown & points.own):
        cell = field.isel(dict(zip(field["phase"].dims, (row, column), strict=True)))
        share = float(np.sqrt(cell["second_share"]))
        (left, right), (low, high) = across.inner(column, share), up.inner(row, share)
        color = colors[int(cell["second"])]
        ax.add_patch(Rectangle((left, low), right - left, high - low, facecolor=color, edgecolor="white", lw=0.5))
    if not brief:
        entries = phase_entries(field) | hatch_entries({"": field["phase"]})
        ax.legend(entries.values(), entries, **BESIDE)


def names_of(field: xr.Dataset) -> list[str]:
    """Return the names of the phases, as the attribute `flag_meanings` has them; else the four of `phases`."""
    told = field["phase"].attrs.get("flag_meanings")
    return list(PHASES) if told is None else [name.replace("_", " ") for name in str(told).split()]


def phase_entries(field: xr.Dataset) -> Entries:
    rule = field["phase"].attrs.get("grokking_rule")
    names = [f"{name} ({rule})" if rule and name == "grokking" else name for name in names_of(field)]
    colors = style.phase_colors(len(names))
    entries: Entries = {name: Patch(facecolor=c) for c, name in zip(colors, names, strict=True)}
    if (field["second"] >= 0).any():
        inner = Line2D([], [], linestyle="", marker="s", ms=3.5, mfc="#777777", mec="white", mew=0.5)
        entries["inner square: other runs"] = (Patch(facecolor="#DDDDDD"), inner)
    return entries


def mark(ax: Axes, across: CellAxis, up: CellAxis, cell: tuple[int, int], text: str) -> None:
    """Write a letter into the cell (row, column)."""
    halo = [withStroke(linewidth=1.8, foreground="white")]
    at = (across.centres[cell[1]], up.centres[cell[0]])
    ax.text(*at, text, ha="center", va="center_baseline", fontsize=8, fontweight="bold", path_effects=halo)


def _mesh(ax: Axes, field: xr.DataArray, values: np.ndarray, outer: bool, points: Points | None, **colors):
    across, up = (cell_axis(field[d]) for d in reversed(field.dims))
    ax.patch.set(**style.NO_VALUE)
    edges = {"edgecolors": "white", "linewidth": 0.4} if points is None else {"edgecolors": "none"}
    mesh = ax.pcolormesh(across.edges, up.edges, values, **edges, **colors)
    if points is not None:
        points.draw_borders(ax, across, up)
    across.draw(ax, "x")
    up.draw(ax, "y", labelled=outer)
    ax.tick_params(labelleft=outer)
    ax.set(xlim=across.edges[[0, -1]], ylim=up.edges[[0, -1]])
    return mesh


def _log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2, 5, 10, ... within the range, or powers of ten alone where they are enough."""
    subs = (1, 2, 5) if high < 300 * low else (1,)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [tick for e in decades for s in subs if low <= (tick := s * 10.0**e) <= high]


def _norm(values: np.ma.MaskedArray, limits: tuple[float, float] | None) -> Normalize:
    if limits or values.count() == 0:
        return Normalize(*(limits or (0, 1)))
    low, high = float(values.min()), float(values.max())
    if low > 0 and high > 5 * low:
        return LogNorm(low, high)
    return Normalize(low, high if high > low else low + 1)
