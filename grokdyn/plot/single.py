"""Figures of one run: checks that one is left, and records along a log axis of steps."""

from collections.abc import Iterable

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from grokdyn.analysis import checks

from . import panel


def one_run(ds: xr.Dataset, variables: Iterable[str], probe: str) -> xr.Dataset:
    """Return the variables of a Dataset of one run, its axes of length 1 dropped, without records that hold nothing.

    Raises ValueError where a variable is missing, naming the probe that records it, or several runs are left.
    """
    names = tuple(variables)
    for name in names:
        if name not in checks.dataset(ds).data_vars:
            raise checks.ArgumentError(f"ds: has no {name!r}; record the probe {probe!r}.")
        checks.recorded(ds, name, "ds")
    several = [axis for axis in checks.swept_axes(ds) if ds.sizes[axis] > 1]
    if several:
        first = ", ".join(f"{axis}=0" for axis in several)
        raise checks.ArgumentError(
            f"ds: {checks.listed(several)} make several runs, each with frequencies of its own; select one first, e.g. "
            f"ds.isel({first})."
        )
    found = ds[list(names)].isel(dict.fromkeys(checks.swept_axes(ds), 0))
    there = found[names[0]].notnull().any([d for d in found[names[0]].dims if d != "step"])
    if not there.any():
        raise checks.ArgumentError(f"ds: {names[0]!r} holds no values.")
    return found.isel(step=there.values)


def at_step(ds: xr.Dataset, step: int | None) -> xr.Dataset:
    """Return the records of a step, by default of the last one."""
    if step is None:
        return ds.isel(step=-1)
    if step not in ds["step"].values:
        raise checks.ArgumentError(
            f"step={step!r}: not recorded; the first steps are {checks.listed(ds.step.values[:8])}."
        )
    return ds.sel(step=step)


def over_steps(ax: Axes, steps: np.ndarray, edges: np.ndarray, values: np.ndarray, **look):
    """Draw values [rows, records] as a map over steps, log where they span a decade; each record reaches half-way."""
    if len(steps) == 1:
        borders = np.asarray([steps[0], steps[0] + 1.0])
    else:
        borders = np.concatenate([[steps[0]], (steps[1:] + steps[:-1]) / 2, [steps[-1]]])
    drawn = ax.pcolormesh(borders, edges, values, rasterized=True, **look)
    wide = len(steps) > 2 and steps[-1] > 30 * max(steps[1], 1)
    xscale = "log" if wide else "linear"
    panel.set_axes(ax, steps, ("map",), xscale, "linear")
    ax.set_xlabel(panel.step_label(steps, xscale))
    ax.set_ylim(edges[0], edges[-1])
    return drawn
