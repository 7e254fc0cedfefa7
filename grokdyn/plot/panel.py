"""Draw training curves into one axes: the median of the runs, their quantile band, each run faint."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from grokdyn.analysis import checks, spread

from . import style
from .brushes import Brush

MAX_FAINT, MAX_DECADES = 40, 4
THEORY: dict[str, Any] = {"color": style.INK, "linestyle": (0, (2.5, 1.5)), "linewidth": 0.9}


def draw(ax: Axes, cell: dict[str, int], brushes: Sequence[Brush], over: str, quantiles: Sequence[float]) -> None:
    """Draw one cell with every brush; axes with a single value need no selection."""
    for brush in brushes:
        at = {d: (cell | brush.pick).get(str(d), 0) for d in brush.array.dims if d not in ("step", over)}
        chosen = brush._replace(array=brush.array.isel(at), held=brush.held.isel(at))
        _draw_runs(ax, chosen, over, quantiles, crowded=bool(brush.pick))


def overlay(ax: Axes, ds: xr.Dataset, cell: dict[str, int], brushes: Sequence[Brush], theory: xr.Dataset) -> None:
    """Draw the closed form of every variable that has one, at the values of the cell and the brush."""
    known = [brush for brush in brushes if brush.array.name in theory.data_vars]
    if not known:
        raise checks.ArgumentError(f"theory: has none of the variables, only: {checks.listed(theory.data_vars)}.")
    for brush in known:
        curve = theory[brush.array.name]
        at = {d: ds[d].values[i] for d, i in (cell | brush.pick).items() if d in curve.dims}
        curve = curve.sel(at)
        if curve.dims != ("step",):
            more = [d for d in curve.dims if d != "step"]
            raise checks.ArgumentError(f"theory: varies along {checks.listed(more)} too; select first.")
        ax.plot(curve["step"].values, curve.values, **THEORY)


def mark(ax: Axes, steps: np.ndarray, events: Mapping[str, float]) -> None:
    """Draw an upright line at the step of every event, its words beside it, by turns a little lower."""
    for place, (words, step) in enumerate(sorted(events.items(), key=lambda event: event[1])):
        if not steps[0] <= step <= steps[-1]:
            came = f"events: {words!r} is at {style.number(step)}"
            raise checks.ArgumentError(f"{came}; expected a step from {steps[0]} to {steps[-1]}.")
        ax.axvline(step, color=style.INK, linewidth=0.7, alpha=0.6, zorder=1)
        right = step > steps[0] + 0.75 * (steps[-1] - steps[0])
        at, side = (-2, "right") if right else (2, "left")
        where = {"xy": (step, 0.98 - 0.08 * (place % 3)), "xycoords": ("data", "axes fraction")}
        ax.annotate(words, **where, xytext=(at, 0), textcoords="offset points", ha=side, va="top", fontsize=6)


def _draw_runs(ax: Axes, brush: Brush, over: str, quantiles: Sequence[float], crowded: bool) -> None:
    """Draw a variable over (over, step), or over (step), at the steps that any of its runs has recorded."""
    look = {"color": brush.color, "linestyle": brush.dashes}
    seen = brush.array.notnull().any([d for d in brush.array.dims if d != "step"]).values
    array = brush.array.isel(step=seen)
    steps = array["step"].values
    if array.sizes.get(over, 1) == 1:
        ax.plot(steps, array.values.ravel(), **look)
        return
    runs = array.transpose("step", over)
    if runs.sizes[over] <= MAX_FAINT and not crowded:
        ax.plot(steps, runs.values, **look, linewidth=0.5, alpha=0.35)
    low, high = min(quantiles), max(quantiles)
    drawn = spread(brush.held.isel(step=seen).to_dataset(name="v"), over, (low, high))["v"]
    rows = {k: drawn.sel(statistic=k).values for k in ("median", f"q{low:g}", f"q{high:g}")}
    ax.fill_between(steps, rows[f"q{low:g}"], rows[f"q{high:g}"], color=brush.color, alpha=0.18, linewidth=0)
    ax.plot(steps, rows["median"], **look)


def step_label(steps: np.ndarray, xscale: str) -> str:
    if xscale == "linear":
        return "step"
    linear = _linear_up_to(steps)
    return "step (log)" if linear is None else f"step (log; linear below {style.number(linear)})"


def set_axes(ax: Axes, steps: np.ndarray, variables: Sequence[str], xscale: str, yscale: str) -> None:
    ax.set_xlim(steps[0], steps[-1] if len(steps) > 1 else steps[0] + 1)
    if xscale == "log":
        _set_log_steps(ax, _linear_up_to(steps))
    ax.set_yscale(yscale)
    if yscale == "linear" and all("accuracy" in name for name in variables):
        ax.set(ylim=(-0.04, 1.04), yticks=(0, 0.5, 1))


def _set_log_steps(ax: Axes, linear: int | None) -> None:
    """Keep a step 0 on the log axis by a linear stretch up to the next record."""
    if linear is None:
        ax.set_xscale("log")
        return
    last = max(ax.get_xlim()[1], linear)
    decades = 10.0 ** np.arange(np.ceil(np.log10(linear)), np.floor(np.log10(last)) + 1)
    ax.set_xscale("symlog", linthresh=linear, linscale=max(0.3, 0.13 * np.log10(last / linear)))
    every = max(1, -(-len(decades) // MAX_DECADES))
    ax.set_xticks([0, *(decades[::-1][::every][::-1] if len(decades) else (linear, last))])
    between = np.outer(10.0 ** np.arange(int(np.log10(last)) + 1), range(1, 10)).ravel()
    ax.set_xticks(between[(between > linear) & (between < last)], minor=True)
    ax.xaxis.set_minor_formatter(NullFormatter())


def _linear_up_to(steps: np.ndarray) -> int | None:
    if steps[0] > 0:
        return None
    return int(steps[1]) if len(steps) > 1 else 1


def default_yscale(variables: Sequence[str]) -> str:
    return "log" if all("loss" in name for name in variables) else "linear"
