"""Curves of a reproduction beside the values that a paper shows."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib.figure
import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from grokdyn.analysis import checks

from . import layout, panel, style
from .brushes import Brush, band_handle, brushes_for, line_handles

MOST_COLUMNS = 3
# Inches: height of a row of the legend.
ROW = 0.17
LETTERS = "abcdefghijklmnopqrstuvwxyz"
LEGEND: dict[str, Any] = {
    "fontsize": 6.5,
    "borderaxespad": 0.1,
    "borderpad": 0.1,
    "columnspacing": 1.4,
    "handlelength": 1.5,
}
# Characters of a value axis's label beside a panel of this height.
LABEL_WIDTH = 28


class Panel(NamedTuple):
    """One panel of ``beside``.

    Attributes:
        title: over the panel.
        data: a Dataset; what varies besides the steps, the seeds and ``hue`` must be selected first.
        variables: drawn together, so of one unit.
        hue: the axis that is put into colour, if any.
        paper: the paper's values: variable, or (variable, value of the hue) -> (steps, values).
        xscale, yscale: log or linear.
    """

    title: str
    data: xr.Dataset
    variables: Sequence[str] = ("train_accuracy", "test_accuracy")
    hue: str | None = None
    paper: Mapping[Any, tuple[Sequence[float], Sequence[float]]] = {}
    xscale: str = "linear"
    yscale: str | None = None


def beside(panels: Sequence[Panel], *, ax: Axes | None = None) -> matplotlib.figure.Figure:
    """Draw panels of curves with a paper's values as open circles.

    Lines are medians over seeds with the band of the 10 % and 90 % quantiles, seeds faint, as in ``curves``; a run that
    a stop rule ended counts with its last value. A paper's values have the colour of their variable or hue.

    One panel can be drawn into an ``ax`` that is given; the Figure returned is then its.

    Raises ValueError for no panel, more than one for an ``ax``, and as ``curves``.
    """
    if not panels:
        raise checks.ArgumentError("panels=(): expected at least one.")
    if ax is not None:
        return alone(panels, ax)
    columns = 2 if len(panels) == 4 else min(len(panels), MOST_COLUMNS)
    rows = -(-len(panels) // columns)
    with style.context():
        figure = style.new_figure(2.45 * columns + 0.3, 2.3 * rows)
        axes = list(np.ravel(np.asarray(figure.subplots(rows, columns, squeeze=False))))
        entries, alike = [], len({one.data.sizes.get("seed", 1) for one in panels}) == 1
        for letter, place, one in zip(LETTERS, axes, panels, strict=False):
            entries.append(draw_panel(place, one, alike))
            if len(panels) > 1:
                style.letter(place, letter)
        explain(figure, entries)
        for empty in axes[len(panels) :]:
            empty.set_axis_off()
    return figure


def alone(panels: Sequence[Panel], ax: Axes) -> matplotlib.figure.Figure:
    """Draw the only panel into axes of somebody else's figure."""
    if len(panels) > 1:
        raise checks.ArgumentError(f"ax: holds one panel, got {len(panels)}; draw each into an ax of its own.")
    with style.context():
        lines, others = draw_panel(ax, panels[0], alike=True)
        if lines or others:
            ax.legend(handles=[*lines, *others])
    return style.whole(ax.figure)


def explain(figure: matplotlib.figure.Figure, entries: Sequence[tuple[list[Artist], list[Artist]]]) -> None:
    """Put a legend below the panels: a row for those that mean the same by their colours, one for all of them.

    Args:
        entries: of every panel, what its lines are, and what is no line: a band, the paper's values.
    """
    lines: dict[tuple[str, ...], tuple[list[str], list[Artist]]] = {}
    others: dict[str, Artist] = {}
    for letter, (own, further) in zip(LETTERS, entries, strict=False):
        others |= {str(handle.get_label()): handle for handle in further}
        if own:
            lines.setdefault(tuple(str(handle.get_label()) for handle in own), ([], own))[0].append(letter)
    rows = [own for _, own in lines.values()]
    if len(rows) > 1:
        rows = [[named(letters), *own] for letters, own in lines.values()]
    if len(rows) == 1:
        rows[0] = [*rows[0], *others.values()]
    elif others:
        rows.append(list(others.values()))
    width, height = figure.get_size_inches()
    columns = [columns_of(figure, row) for row in rows]
    total = height + ROW * sum(-(-len(row) // most) for row, most in zip(rows, columns, strict=True))
    figure.set_size_inches(width, total)
    below = total - height
    figure.get_layout_engine().set(rect=(0, below / total, 1, height / total))  # type: ignore[union-attr]
    for row, most in zip(rows, columns, strict=True):
        across = [handle for i in range(most) for handle in row[i::most]]  # matplotlib fills columns first
        figure.legend(handles=across, loc="upper center", bbox_to_anchor=(0.5, below / total), ncols=most, **LEGEND)
        below -= ROW * -(-len(row) // most)


def columns_of(figure: matplotlib.figure.Figure, row: list[Artist]) -> int:
    """Return how many of a legend's entries fit side by side."""
    for columns in range(len(row), 1, -1):
        tried = figure.legend(handles=row, ncols=columns, **LEGEND)
        width = tried.get_window_extent().width
        tried.remove()
        if width <= figure.bbox.width:
            return columns
    return 1


def named(letters: Sequence[str]) -> Artist:
    """Return what names panels at the head of their row."""
    text = f"{letters[0]}–{letters[-1]}" if len(letters) > 2 and joined(letters) else ", ".join(letters)
    return Line2D([], [], linestyle="", label=rf"$\bf{{{text}}}$")


def joined(letters: Sequence[str]) -> bool:
    """Return whether letters follow each other without a gap."""
    return "".join(letters) in LETTERS


def draw_panel(ax: Axes, one: Panel, alike: bool) -> tuple[list[Artist], list[Artist]]:
    """Draw one panel; return the legend's entries of its lines, and the others.

    Where panels differ in it, the title has the number of seeds.
    """
    arrays = [checks.recorded(one.data, name, "variables") for name in one.variables]
    extra = layout.facet_axes(one.data, arrays, ("step", "seed", one.hue))
    if extra:
        raise checks.ArgumentError(f"data: varies along {checks.listed(extra)} too; select first or use hue.")
    brushes = brushes_for(one.data, arrays, one.hue)
    panel.draw(ax, {}, brushes, "seed", (0.1, 0.9))
    yscale = one.yscale or panel.default_yscale(one.variables)
    panel.set_axes(ax, one.data["step"].values, one.variables, one.xscale, yscale)
    colors = {paper_key(one, brush): brush.color for brush in brushes}
    for key, (steps, values) in one.paper.items():
        if key not in colors:
            raise checks.ArgumentError(f"paper: {key!r} is not drawn; allowed: {checks.listed(colors)}.")
        look = {"markersize": 3.2, "fillstyle": "none", "markeredgewidth": 0.8, "color": colors[key], "zorder": 5}
        whole = max(steps, default=0) == one.data["step"].values[-1]  # a value at the edge, and none beyond it
        ax.plot(steps, values, "o", clip_on=not whole, **look)
    # A single line needs no word: the axis says what it is.
    lines = [] if one.hue is None and len(arrays) == 1 else line_handles(one.data, arrays, one.hue)
    others = band_handle(one.data, arrays, "seed", (0.1, 0.9), counted=alike)
    if one.paper:
        others += ax.plot([], [], "o", markersize=3.2, fillstyle="none", color=style.INK, label="paper, one seed")
    seeds = one.data.sizes.get("seed", 1)
    ax.set_title(one.title if alike else f"{one.title} ({seeds} seed{'s' * (seeds != 1)})")
    ax.set_xlabel(panel.step_label(one.data["step"].values, one.xscale))
    ax.set_ylabel(textwrap.fill(common_label(arrays), LABEL_WIDTH))
    return lines, others


def paper_key(one: Panel, brush: Brush) -> Any:
    """Return the key under which ``Panel.paper`` names what a brush draws."""
    if one.hue is None:
        return brush.array.name
    value = one.data[one.hue].values.tolist()[brush.pick[one.hue]]
    return (brush.array.name, value) if len(one.variables) > 1 else value


def common_label(arrays: Sequence[xr.DataArray]) -> str:
    """Return the label of an array, or of several what they all are: accuracy or loss."""
    words = [word for word in ("accuracy", "loss") if all(word in str(array.name) for array in arrays)]
    return words[0] if words and len(arrays) > 1 else style.label_of(arrays[0])
