"""Curves of a reproduction beside the values that a paper shows."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib.figure
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from grokdyn.analysis import checks

from . import layout, panel, style
from .brushes import Brush, brushes_for, legend_handles

MOST_COLUMNS = 3
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


def beside(panels: Sequence[Panel]) -> matplotlib.figure.Figure:
    """Draw panels of curves with a paper's values as open circles.

    Lines are medians over seeds with the band of the 10 % and 90 % quantiles, seeds faint, as in ``curves``; a run that
    a stop rule ended counts with its last value. A paper's values have the colour of their variable or hue.

    Raises ValueError for no panel, and as ``curves``.
    """
    if not panels:
        raise checks.ArgumentError("panels=(): expected at least one.")
    columns = min(len(panels), MOST_COLUMNS)
    rows = -(-len(panels) // columns)
    with style.context():
        figure = style.new_figure(2.45 * columns + 0.3, 2.3 * rows)
        axes = list(np.ravel(np.asarray(figure.subplots(rows, columns, squeeze=False))))
        handles, alike = [], len({one.data.sizes.get("seed", 1) for one in panels}) == 1
        for i, (ax, one) in enumerate(zip(axes, panels, strict=False)):
            handles.append(draw_panel(ax, one, alike))
            if len(panels) > 1:
                style.letter(ax, "abcdefghijklmnopqrstuvwxyz"[i])
        explain(figure, axes, handles)
        for ax in axes[len(panels) :]:
            ax.set_axis_off()
    return figure


def explain(figure: matplotlib.figure.Figure, axes: Sequence[Axes], handles: Sequence[list[Any]]) -> None:
    """Put what all panels share into one legend below them, and what is a panel's own into the panel."""
    texts = [{handle.get_label() for handle in of_panel} for of_panel in handles]
    shared = set.intersection(*texts) if len(handles) > 1 else set()
    if common := [handle for handle in handles[0] if handle.get_label() in shared]:
        figure.legend(handles=common, loc="outside lower center", ncols=len(common), fontsize=6.5)
    for ax, of_panel in zip(axes, handles, strict=False):
        if own := [handle for handle in of_panel if handle.get_label() not in shared]:
            ax.legend(handles=own, fontsize=6)


def draw_panel(ax: Axes, one: Panel, alike: bool) -> list[Any]:
    """Draw one panel; return what its legend shows. Where panels differ in it, the title has the number of seeds."""
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
        ax.plot(steps, values, "o", markersize=3.2, fillstyle="none", markeredgewidth=0.8, color=colors[key], zorder=5)
    handles = legend_handles(one.data, arrays, one.hue, "seed", (0.1, 0.9), counted=alike)
    if one.hue is None and len(arrays) == 1:
        handles = handles[1:]  # the axis says what it is
    if one.paper:
        handles += ax.plot([], [], "o", markersize=3.2, fillstyle="none", color=style.INK, label="paper, one seed")
    seeds = one.data.sizes.get("seed", 1)
    ax.set_title(one.title if alike else f"{one.title} ({seeds} seed{'s' * (seeds != 1)})")
    ax.set_xlabel(panel.step_label(one.data["step"].values, one.xscale))
    ax.set_ylabel(textwrap.fill(common_label(arrays), LABEL_WIDTH))
    return handles


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
