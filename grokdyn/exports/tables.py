"""Tables of a sweep: a row per run, a row per run and record, a row per number of a probe with axes of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

from grokdyn.analysis import final, grokking_time, parts, phases
from grokdyn.analysis.apart import with_points
from grokdyn.analysis.checks import swept_axes
from grokdyn.analysis.classify import PHASES, UNKNOWN


def numbered(ds: xr.Dataset) -> tuple[xr.Dataset, str]:
    """Return results with their runs in a row, along a dimension whose name is also returned, and what they vary in.

    Coordinates along it are the axes and the number of the run in the sweep, in C order.
    """
    ds = with_points(ds)
    axes = swept_axes(ds)
    if axes == ("run",):
        return ds, "run"
    if not axes:
        return ds.expand_dims("run").assign_coords(run=[0]), "run"
    counted = {axis: np.arange(ds.sizes[axis]) for axis in axes if axis not in ds.coords}
    stacked = ds.assign_coords(counted).stack(run=axes, create_index=False)
    return stacked.assign_coords(run=np.arange(stacked.sizes["run"])), "run"


def runs(ds: xr.Dataset, threshold: float = 0.9) -> xr.Dataset:
    """Return what is one number for every run: how it ended, when it got where, what it recorded last [run]."""
    ends = final(ds) if "step" in ds.dims else ds
    known = {name: array for name, array in ends.data_vars.items() if set(array.dims) <= set(swept_axes(ds))}
    found = xr.Dataset(known, attrs=ds.attrs)
    if {"train_accuracy", "test_accuracy"} <= {*ds.data_vars} and ds.sizes.get("step", 0):
        times = [grokking_time(ds, threshold, part).drop_vars("delay") for part in parts(ds)[1:]]
        delay = grokking_time(ds, threshold)["delay"]
        phase = phases(ds, threshold)["phase"]
        words = np.asarray([*PHASES, ""], object)[np.where(phase == UNKNOWN, len(PHASES), phase)]
        found = xr.merge([found, *times], compat="override", combine_attrs="override")
        found = found.assign(delay=delay, phase=(phase.dims, words))
    return numbered(found)[0]


def records(ds: xr.Dataset) -> xr.Dataset:
    """Return what is one number for every run and record [run, step]."""
    names = [str(name) for name, array in ds.data_vars.items() if set(array.dims) == {*swept_axes(ds), "step"}]
    return numbered(ds[names])[0].transpose("run", "step")


def inner(ds: xr.Dataset) -> Iterator[tuple[str, xr.Dataset]]:
    """Yield every variable with axes of its own, such as tensors or frequencies [run, step, ...]."""
    for name, array in ds.data_vars.items():
        own = [dim for dim in array.dims if dim not in (*swept_axes(ds), "step")]
        if own:
            found = numbered(ds[[name]])[0]
            counted = {dim: np.arange(found.sizes[dim]) for dim in own if dim not in found.coords}
            yield str(name), found.assign_coords(counted)


def frame(table: xr.Dataset) -> Any:
    """Return a table as a DataFrame of pandas: its axes first, then its variables; rows without a number are left out.

    Numbers keep their type, words are text; what was not recorded is missing.
    """
    found: Any = table.to_dataframe().reset_index()
    first = ["run", *(str(name) for name in table.coords if name != "run")]
    order = list(dict.fromkeys([*first, *(str(name) for name in table.data_vars)]))
    floats = [str(name) for name, array in table.data_vars.items() if array.dtype.kind == "f"]
    found = found[[name for name in order if name in found.columns]]
    if "step" in table.dims and floats:
        found = found[found[floats].notna().any(axis=1)]
    return found.reset_index(drop=True)


def tables(ds: xr.Dataset, threshold: float = 0.9) -> Iterator[tuple[str, Any]]:
    """Yield name and DataFrame of every table that a sweep makes."""
    yield "runs", frame(runs(ds, threshold))
    if records(ds).data_vars:
        yield "records", frame(records(ds))
    for name, table in inner(ds):
        yield f"records_{name}", frame(table)
