"""Dataset -> one number, or one phase, for every cell of a diagram."""

from typing import Any

import numpy as np
import xarray as xr

from grokdyn.analysis import checks, grokking_time, phases, spread
from grokdyn.analysis.across_runs import CODES
from grokdyn.analysis.classify import majority
from grokdyn.analysis.gridded import RUN
from grokdyn.analysis.times import last_record

from . import style
from .points import Points

TIMES = ("step_train", "step_test", "delay")
REDUCE = {"mean": "mean", "median": "median", "min": "q0", "max": "q1"}


def diagram_axes(ds: xr.Dataset, x: str | None, y: str | None, single: bool = False) -> tuple[str, str]:
    """Return the two axes of a diagram; where both are None, the only two swept ones apart from `seed`.

    Args:
        single: what varies along the dimension of single points may be an axis too.
    """
    swept = axes_to_name(ds, single)
    free = [axis for axis in swept if axis != "seed" and len(np.unique(_axis_values(ds, axis))) > 1]
    if x is None and y is None and len(free) == 2:
        return free[1], free[0]
    if x is None or y is None:
        raise checks.ArgumentError(
            f"x={x!r}, y={y!r}: name two of the swept axes; the Dataset has: {checks.listed(swept)}."
        )
    for argument, axis in (("x", x), ("y", y)):
        checks.dimension(ds, axis, argument, swept)
    if x == y:
        raise checks.ArgumentError(f"x={x!r}, y={y!r}: a diagram needs two different axes, of: {checks.listed(swept)}.")
    return x, y


def axes_to_name(ds: xr.Dataset, single: bool = False) -> tuple[str, ...]:
    """Return the axes that a diagram may have."""
    swept = checks.swept_axes(ds)
    beside = [str(n) for n, c in ds.coords.items() if c.dims == (RUN,) and n != RUN] if single else []
    return (*[axis for axis in swept if axis != RUN], *beside) if beside else swept


def _axis_values(ds: xr.Dataset, axis: str) -> np.ndarray:
    return ds[axis].values if axis in ds.coords else np.arange(ds.sizes[axis])


def ordered_axes(ds: xr.Dataset, *axes: str) -> xr.Dataset:
    """Give axes coordinates (counted where they have none) and put numbers in ascending order."""
    for axis in axes:
        ds = ds if axis in ds.coords else ds.assign_coords({axis: np.arange(ds.sizes[axis])})
        ds = ds.sortby(axis) if ds[axis].dtype.kind in "iuf" else ds
    return ds


def value_cells(
    ds: xr.Dataset,
    x: str,
    y: str,
    value: str,
    reduce: str | None = None,
    threshold: float = 0.9,
    part: str = "test",
    points: Points | None = None,
) -> xr.DataArray:
    """Return a quantity over (y, x), reduced over all other swept axes; attrs hold what to write about it.

    Args:
        points: where the runs are, of single points.
    """
    times = value in (*TIMES, f"step_{part}") and value not in ds.data_vars
    source = grokking_time(ds, threshold, part) if times else _last(ds, value)
    source, ds = (source, ds) if points is None else _placed(points, source, ds, value)
    array = source[value]
    others = _others(ds, array, x, y)
    reduce = str(checks.choice(reduce or ("median" if times else "mean"), REDUCE, "reduce"))
    flags = [f for f in array.attrs.get("ancillary_variables", "").split() if f in source.data_vars]
    flags = [f for f in flags if set(source[f].dims) <= set(array.dims)]
    one_by_one = source[[value, *flags]].expand_dims("_run")  # so that a lone run passes through spread as well
    statistics = spread(one_by_one, ("_run", *others), quantiles=(0, 1))[value].transpose("statistic", y, x)
    cells = statistics.sel(statistic=REDUCE[reduce], drop=True).assign_attrs(array.attrs)
    unknown = bool((statistics.sel(statistic="runs") == 0).any())
    runs = array.size // cells.size
    return cells.assign_attrs(_words(array, reduce, runs, unknown, str(runs) if points is None else points.counted))


def _words(array: xr.DataArray, reduce: str, runs: int, unknown: bool, counted: str) -> dict[str, Any]:
    """Write what a figure says about a quantity: its label, what its hatched cells mean, its natural limits."""
    absent = "non-finite or not run"
    if "budget" in array.attrs:
        who = {"median": " in half of the runs or more", "mean": " in every run"}.get(reduce, "") if runs > 1 else ""
        absent = f"not within {array.attrs['budget']} steps{who}" + (", or not run" if unknown else "")
    statistic = f"{reduce} of {counted} runs" if runs > 1 else ""
    limits = (0.0, 1.0) if str(array.name).endswith("_accuracy") else array.attrs.get("valid_range")
    return {"label": style.label_of(array), "statistic": statistic, "absent": absent, "limits": limits}


def _placed(points: Points, source: xr.Dataset, ds: xr.Dataset, value: str) -> tuple[xr.Dataset, xr.Dataset]:
    """Return what single points have over the plane, and the same as the Dataset whose axes are the plane's."""
    flags = str(source[value].attrs.get("ancillary_variables", "")).split()
    found = points.placed(source[[value, *(flag for flag in flags if flag in source.data_vars)]])
    return found, found


def phase_cells(
    ds: xr.Dataset,
    x: str,
    y: str,
    threshold: float,
    delay: float | None,
    part: str = "test",
    points: Points | None = None,
) -> xr.Dataset:
    """Return the commonest and second phase over (y, x) with their shares of the runs, see `majority`.

    Args:
        points: where the runs are, of single points.
    """
    source = ds if "phase" in ds.data_vars else phases(ds, threshold, delay, part)
    source, ds = (source, ds) if points is None else _placed(points, source, ds, "phase")
    cells = majority(source["phase"], _others(ds, source["phase"], x, y)).transpose(y, x)
    cells["phase"] = cells["phase"].where(cells["phase"] >= 0).assign_attrs(absent="not run", **source["phase"].attrs)
    return cells


def _last(ds: xr.Dataset, name: str) -> xr.Dataset:
    """Take the last finite record of every run; runs that stopped as non-finite have none."""
    array = checks.variable(ds, name, "value", (*TIMES, "phase"))
    if array.dtype.kind not in "fiub":
        raise checks.ArgumentError(f"value={name!r}: holds {array.dtype}, not numbers.")
    if name in CODES or "flag_values" in array.attrs:
        hint = f"a share of them, such as ds.assign(share=(ds.{name} > 0) * 1.0), has a mean"
        raise checks.ArgumentError(f"value={name!r}: holds codes, of which there is no mean; {hint}.")
    if "step" not in array.dims:
        return ds
    attrs = array.attrs
    array = last_record(array)
    if "status" in ds.data_vars:
        array = array.where(ds["status"] == 0)
    return xr.Dataset({name: array.assign_attrs(attrs)}, attrs=ds.attrs)


def _others(ds: xr.Dataset, array: xr.DataArray, x: str, y: str) -> tuple[str, ...]:
    missing = {x, y} - set(array.dims)
    if missing:
        raise checks.ArgumentError(f"value={array.name!r}: does not vary along {checks.listed(missing)}.")
    others = tuple(str(d) for d in array.dims if d not in (x, y))
    swept = checks.swept_axes(ds)
    probe = [d for d in others if d not in swept]
    if probe:
        raise checks.ArgumentError(
            f"value={array.name!r}: has the axis {probe[0]!r}; select one first: ds.isel({probe[0]}=0)."
        )
    return others
