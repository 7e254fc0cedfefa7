"""The diagram of a sweep over two axes."""

import matplotlib.figure
import xarray as xr
from matplotlib.axes import Axes

from grokdyn.analysis import checks

from . import line, mesh, style
from .cell_axes import cell_axis
from .grid import diagram_axes, ordered_axes, phase_cells, value_cells
from .points import points


def phase_diagram(
    ds: xr.Dataset,
    x: str | None = None,
    y: str | None = None,
    value: str = "test_accuracy",
    *,
    reduce: str | None = None,
    threshold: float = 0.9,
    delay: float | None = None,
    part: str = "test",
    boundary: xr.Dataset | None = None,
    ax: Axes | None = None,
) -> matplotlib.figure.Figure:
    """Draw one quantity over two swept axes, a cell for every pair of values.

    `value` is any numeric variable of `ds`; or `step_train`, `step_test`, `delay` as in `grokking_time(ds, threshold)`;
    or `phase` as in `phases(ds, threshold, delay)`, or as a variable of that name has it; times and phases of another
    `part` of the rows than test where one is named (`step_<part>`). A variable with records is taken at the last record
    of each run (draw another moment with `ds.sel(step=[...])`); runs with `status` other than 0 have no value then.

    All other swept axes, usually `seed`, are reduced by `reduce`: mean, median, min or max; None takes the median for
    the three times and the mean for the rest. A cell whose time is censored (see `spread`) is hatched, as is one
    without any value. `phase` shows the commonest phase, and where runs disagree the second as an inner square whose
    area is its share of the runs. Evenly spaced values get a linear axis, evenly log-spaced ones a log axis; all else
    (words; a zero before log-spaced values) equally wide cells with their values written at the centres.

    Results of single points are drawn too, where both axes vary along `run`: the cell of each reaches half way to the
    next, on the grid of `boundary` or else the finest even one on which all of them lie. `boundary`, as
    `gd.analysis.boundary` returns it, is drawn over the cells: the line of every question, and its band.

    x and y may be left out where exactly two axes apart from `seed` are swept. Returns the Figure, that of `ax` where
    one is given. Raises ValueError for unknown names, or a variable with a probe axis that is not selected.
    """
    x, y = diagram_axes(checks.dataset(ds), x, y, single=True)
    if boundary is not None and {*line.axes_of(boundary)} != {x, y}:
        told = " and ".join(line.axes_of(boundary))
        raise checks.ArgumentError(f"boundary: is over {told}; expected {x} and {y}.")
    single = points(ds, x, y, boundary)
    ds = ordered_axes(ds, x, y) if single is None else ds
    with style.context():
        if value == "phase":
            ax = ax or style.new_figure(4.2, 2.7).subplots()
            found = phase_cells(ds, x, y, threshold, delay, part, single)
            mesh.draw_phases(ax, found, points=single)
            field = found["phase"]
        else:
            field = value_cells(ds, x, y, value, reduce, threshold, part, single)
            ax = ax or style.new_figure(3.6, 2.7).subplots()
            mesh.draw_values(ax, field, points=single)
        if boundary is not None:
            line.draw(ax, boundary, cell_axis(field[x]), cell_axis(field[y]), x, y)
    return ax.figure  # type: ignore[return-value]
