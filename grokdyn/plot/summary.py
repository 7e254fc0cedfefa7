"""The overview of a sweep over two axes: three diagrams and the curves of one cell for each phase."""

from collections.abc import Sequence
from typing import Any

import matplotlib.figure
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from grokdyn.analysis import checks
from grokdyn.analysis.classify import PHASES

from . import layout, mesh, panel, style
from .brushes import brushes_for, legend_handles
from .cell_axes import cell_axis
from .grid import diagram_axes, ordered_axes, phase_cells, value_cells
from .representative import representatives

SHOWN = ("memorization", "grokking", "comprehension", "confusion")
ACCURACIES = ("train_accuracy", "test_accuracy")


def overview(
    ds: xr.Dataset,
    x: str | None = None,
    y: str | None = None,
    *,
    threshold: float = 0.9,
    delay: float | None = None,
    over: str = "seed",
    quantiles: Sequence[float] = (0.1, 0.9),
    xscale: str = "log",
    ax: Axes | None = None,
) -> matplotlib.figure.Figure:
    """Draw a sweep over two axes, x and y, at a glance.

    a: test accuracy at the last record, mean over runs. b: phases as in `phases(ds, threshold, delay)`. c: first step
    with test accuracy >= threshold, median over runs. d to g: train and test accuracy of one cell for each phase, which
    the diagrams mark by the panel's letter; it is the cell where most runs agree, furthest from the other phases (see
    `representatives`). A phase without a cell leaves its panel empty and says so.

    `over` is the axis of runs that differ by chance, if there is one; any further axis must be selected first. `ax`
    of a figure's subplots gives its place to the panels.

    Returns the Figure, that of `ax` where one is given. Raises ValueError as `phase_diagram` and `curves`.
    """
    x, y = diagram_axes(checks.dataset(ds), x, y)
    arrays = [checks.recorded(ds, name, "ds") for name in ACCURACIES]
    over = over if over == "seed" else checks.dimension(ds, over, "over")
    quantiles = checks.probabilities(quantiles)
    extra = layout.facet_axes(ds, arrays, ("step", over, x, y))
    if extra:
        raise checks.ArgumentError(
            f"ds: besides {x}, {y} and {over} it varies along {checks.listed(extra)}; select first."
        )
    ds = ordered_axes(ds, x, y)
    found = phase_cells(ds, x, y, threshold, delay)
    chosen = representatives(found, range(len(PHASES)))
    with style.context():
        figure = style.room(ax, 7.2, 4.9)
        top, bottom = np.ravel(figure.subfigures(2, 1, height_ratios=(1.25, 1)))  # type: ignore[arg-type]
        _diagrams(top, ds, x, y, found, threshold, chosen)
        _examples(bottom, ds, x, y, chosen, over, quantiles, xscale)
    return style.whole(figure)


def _diagrams(figure: Any, ds: xr.Dataset, x: str, y: str, found: xr.Dataset, threshold: float, chosen: dict) -> None:
    axes = figure.subplots(1, 3)
    accuracy = value_cells(ds, x, y, "test_accuracy")
    time = value_cells(ds, x, y, "step_test", threshold=threshold)
    mesh.draw_values(axes[0], accuracy, brief=True)
    mesh.draw_phases(axes[1], found, outer=False, brief=True)
    mesh.draw_values(axes[2], time, outer=False, brief=True)
    across, up = cell_axis(ds[x]), cell_axis(ds[y])
    titles = ("final test accuracy", "phase", f"steps to test accuracy ≥ {threshold:g}")
    for ax, name, title in zip(axes, "abc", titles, strict=True):
        style.letter(ax, name)
        ax.set_title(title)
        for code, cell in chosen.items():
            mesh.mark(ax, across, up, cell, _letter_of(code))
    entries = mesh.phase_entries(found) | mesh.hatch_entries({"a": accuracy, "b": found["phase"], "c": time})
    figure.legend(entries.values(), entries, loc="outside lower center", ncols=2 if len(entries) == 4 else 3)


def _examples(figure: Any, ds: xr.Dataset, x: str, y: str, chosen: dict, over: str, quantiles: Any, xscale: str):
    axes = figure.subplots(1, 4, sharex=True, sharey=True)
    arrays = [ds[name] for name in ACCURACIES]
    brushes = brushes_for(ds, arrays, None)
    steps = ds["step"].values
    for ax, phase in zip(axes, SHOWN, strict=True):
        code = PHASES.index(phase)
        panel.set_axes(ax, steps, ACCURACIES, xscale, "linear")
        ax.set_title(_letter_of(code), loc="left", fontweight="bold", fontsize=9, pad=21)
        ax.set_title(phase, pad=21)
        if code in chosen:
            cell = dict(zip((y, x), chosen[code], strict=True))
            panel.draw(ax, cell, brushes, over, quantiles)
            _caption(ax, "\n".join(layout.cell_words(ds, axis, i) for axis, i in cell.items()))
        else:
            _caption(ax, "no cell of the sweep\nis in this phase")
        ax.set_xlabel(panel.step_label(steps, xscale), fontsize=7)
    axes[0].set_ylabel("accuracy")
    figure.legend(handles=legend_handles(ds, arrays, None, over, quantiles), loc="outside lower center", ncols=3)


def _letter_of(code: int) -> str:
    return "defg"[SHOWN.index(PHASES[code])]


def _caption(ax: Axes, text: str) -> None:
    above = {"xytext": (0, 3), "textcoords": "offset points", "ha": "center", "va": "bottom"}
    ax.annotate(text, (0.5, 1), xycoords="axes fraction", fontsize=6.5, **above)
