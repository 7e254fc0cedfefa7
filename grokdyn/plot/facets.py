"""Training curves, one panel for each value of the other swept axes."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.figure
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from grokdyn.analysis import checks, parts

from . import layout, panel, style
from .brushes import brushes_for, legend_handles, value_words


def curves(
    ds: xr.Dataset,
    variables: str | Sequence[str] | None = None,
    *,
    xscale: str = "log",
    yscale: str | None = None,
    hue: str | None = None,
    over: str = "seed",
    quantiles: Sequence[float] = (0.1, 0.9),
    ax: Axes | None = None,
    theory: xr.Dataset | None = None,
    events: Mapping[str, float] | None = None,
) -> matplotlib.figure.Figure:
    """Draw variables against the optimizer step; by default the accuracy of every part of the rows, or else its loss.

    A line is the median over the runs along `over`, its band spans the lowest to the highest of `quantiles`, each run
    is a faint line; runs that became non-finite leave the median from then on, those that a stop rule ended count with
    their last value. Each variable has its colour. Every
    other axis with more than one value spreads over panels: one axis in reading order, two as rows and columns. `hue`
    puts one axis into colour instead, and variables into line styles. A recorded step 0 stays visible on the log axis:
    up to the next record the axis is linear, as its label says. `yscale=None` is log for losses and linear otherwise.
    `theory` holds closed forms under the names of the variables, over `step` and those axes that matter; they are
    drawn as thin dark dashes. `events` holds steps by what happened there, such as {"mixup ends": 2000}: thin upright
    lines with these words.

    Returns the Figure, that of `ax` where one is given (which then must need one panel only). Raises ValueError for
    unknown names, more than two panel axes, or more than 36 panels or 12 hues: select first; or a theory of none of the
    variables, or over axes that are not drawn; or an event outside of the steps.
    """
    names = (variables,) if isinstance(variables, str) else tuple(fits(ds) if variables is None else variables)
    if not names:
        raise checks.ArgumentError("variables=(): expected at least one name.")
    arrays = [checks.recorded(ds, name, "variables") for name in names]
    checks.choice(xscale, ("log", "linear"), "xscale")
    yscale = str(checks.choice(yscale or panel.default_yscale(names), ("log", "linear", "symlog"), "yscale"))
    over = over if over == "seed" else checks.dimension(ds, over, "over")
    quantiles = checks.probabilities(quantiles)
    brushes = brushes_for(ds, arrays, hue)
    facets = layout.facet_axes(ds, arrays, ("step", over, hue))
    over = "" if over == hue else over  # then every run has its own colour and no median
    if ax is not None and facets:
        raise checks.ArgumentError(
            f"ax: holds one panel, but {checks.listed(facets)} need more; select first or use hue."
        )
    with style.context():
        figure, panels = layout.new_panels(ds, facets) if ax is None else (_figure_of(ax), [(ax, {})])
        for axes, cell in panels:
            panel.draw(axes, cell, brushes, over, quantiles)
            if theory is not None:
                panel.overlay(axes, ds, cell, brushes, theory)
            panel.set_axes(axes, ds["step"].values, names, xscale, yscale)
            panel.mark(axes, ds["step"].values, events or {})
        labels = panel.step_label(ds["step"].values, xscale), value_words(arrays)[0]
        layout.write_around(figure, [axes for axes, _ in panels], *labels)
        handles = legend_handles(ds, arrays, hue, over, quantiles)
        if theory is not None:
            handles.append(Line2D([], [], **panel.THEORY, label="theory"))
        _put_legend(figure, ax, handles, beside=len(panels) == 1 or hue is not None)
    return figure


def fits(ds: xr.Dataset) -> list[str]:
    """Return the accuracies of all parts, or else their losses."""
    for what in ("accuracy", "loss"):
        if found := [f"{part}_{what}" for part in parts(ds, what)]:
            return found
    return ["train_accuracy", "test_accuracy"]  # which are told to be missing


def _figure_of(ax: Axes) -> Any:
    return ax.figure


def _put_legend(figure: Any, ax: Axes | None, handles: list[Artist], beside: bool) -> None:
    """Put the legend into a user's axes, else at the right of one panel, and above several unless it is a long list."""
    if ax is not None:
        ax.legend(handles=handles)
        return
    for handle in handles if beside else ():
        handle.set_label(str(handle.get_label()).replace(" % of", " %\nof"))
    if beside:
        figure.legend(handles=handles, loc="outside right upper").set_gid("beside")
    else:
        figure.legend(handles=handles, loc="outside upper center", ncols=4)
