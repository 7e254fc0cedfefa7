"""How the numbers of a probe spread over the steps: their histogram, or their spectrum."""

import matplotlib as mpl
import matplotlib.figure
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from grokdyn.analysis import checks, measured

from . import panel, single, style

LOG_SPAN = 100  # numbers that span more than this are binned in log
MOST_LINES = 60


def histograms(ds: xr.Dataset, variable: str, *, bins: int = 40, ax: Axes | None = None) -> matplotlib.figure.Figure:
    """Draw over the steps how many of a variable's numbers lie where: over runs, tensors, neurons, whatever it has.

    Every column holds shares that sum to 1, of the numbers that are finite at the record. Positive numbers that span
    more than two decades are binned evenly in log, others evenly.

    Returns the Figure, that of `ax` where one is given. Raises ValueError for an unknown variable, one without records
    or without finite numbers, or fewer than two bins.
    """
    array = measured(ds, variable).transpose("step", ...)
    if checks.number(bins, "bins") < 2:
        raise checks.ArgumentError(f"bins={bins!r}: expected at least 2.")
    values = array.values.reshape(array.sizes["step"], -1)
    finite = values[np.isfinite(values)]
    if not len(finite):
        raise checks.ArgumentError(f"variable={variable!r}: holds no values.")
    low, high = float(finite.min()), float(finite.max())
    log = low > 0 and high > LOG_SPAN * low
    edges = np.geomspace(low, high, bins + 1) if log else np.linspace(low, high if high > low else low + 1, bins + 1)
    edges[0], edges[-1] = min(edges[0], low), max(edges[-1], high)
    counts = np.stack([np.histogram(row[np.isfinite(row)], edges)[0] for row in values], axis=1)
    shares = counts / np.maximum(counts.sum(0), 1)
    with style.context():
        ax = ax or style.new_figure(4.2, 2.4).subplots()
        drawn = single.over_steps(ax, array["step"].values, edges, shares, cmap="Greys", vmin=0)
        if log:
            ax.set_yscale("log")
        ax.set_ylabel(style.label_of(array))
        bar = ax.figure.colorbar(drawn, ax=ax, pad=0.02, aspect=25)
        bar.set_label("share of numbers")
        bar.outline.set_linewidth(0.5)  # type: ignore[operator]
    return style.whole(ax.figure)


def spectra(ds: xr.Dataset, variable: str, *, ax: Axes | None = None) -> matplotlib.figure.Figure:
    """Draw over the steps a variable with one axis of its own, largest first: eigenvalues, singular values, powers.

    A line for every rank from the largest on, dark to light, of one run; the axis of values is log where all numbers
    are positive. Of more than 60 the largest are drawn.

    Returns the Figure, that of `ax` where one is given. Raises ValueError for an unknown variable, one that has not
    exactly one axis of its own, or several runs.
    """
    checks.recorded(ds, variable)
    one = single.one_run(ds, (variable,), variable)[variable]
    own = [dim for dim in one.dims if dim != "step"]
    if len(own) != 1:
        raise checks.ArgumentError(f"variable={variable!r}: expected one axis besides step, got {checks.listed(own)}.")
    ranked = -np.sort(-one.transpose("step", own[0]).values, axis=1)[:, :MOST_LINES]
    steps = one["step"].values
    with style.context():
        ax = ax or style.new_figure(4.2, 2.4).subplots()
        shades = mpl.colormaps["viridis"](np.linspace(0, 0.9, ranked.shape[1]))
        for rank in reversed(range(ranked.shape[1])):
            ax.plot(steps, ranked[:, rank], color=shades[rank], linewidth=0.9, label=f"_{rank + 1}")
        xscale = "log" if len(steps) > 2 else "linear"
        positive = bool(np.all(ranked[np.isfinite(ranked)] > 0))
        panel.set_axes(ax, steps, ("spectrum",), xscale, "log" if positive else "linear")
        ax.set(xlabel=panel.step_label(steps, xscale), ylabel=style.label_of(one))
    return style.whole(ax.figure)
