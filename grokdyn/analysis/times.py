"""When something first happens in a run, to the resolution of its records."""

import operator

import numpy as np
import xarray as xr

from . import checks
from .parts import one_part

DIRECTIONS = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}

SIGNS = {">=": "≥", ">": ">", "<=": "≤", "<": "<"}


def first_step(ds: xr.Dataset, variable: str, threshold: float, direction: str = ">=") -> xr.Dataset:
    """Find the first recorded step at which a variable reaches a threshold.

    `first_step = min {t in ds.step : variable(t) direction threshold}`. The resolution is the record interval: the
    crossing itself lies after the record before and at or before the step returned. Nothing is interpolated, and a
    later fall back below the threshold does not count. NaN records never reach.

    Returns a Dataset without `step`: `first_step` (float64, optimizer steps, nan where not reached) and `censored`
    (bool: the run has records, or stopped as non-finite, and none reached). A run without any record is nan and not
    censored: nothing is known of it.

    Raises ValueError for an unknown variable, one without `step`, or a direction other than >=, >, <=, <.
    """
    array = checks.recorded(ds, variable)
    checks.choice(direction, DIRECTIONS, "direction")
    reached = DIRECTIONS[direction](array, checks.number(threshold, "threshold"))
    ever = reached.any("step")
    step = ds["step"].isel(step=reached.argmax("step")).drop_vars("step").where(ever)
    name = str(array.attrs.get("long_name", variable)).replace("_", " ")
    out = xr.Dataset({"first_step": step.astype(np.float64), "censored": _seen(ds, array) & ~ever}, attrs=ds.attrs)
    out["first_step"].attrs = {
        "long_name": f"time to {name} {SIGNS[direction]} {threshold:g}",
        "units": "steps",
        "ancillary_variables": "censored",
        "budget": int(ds["step"][-1]),
    }
    return out


def _seen(ds: xr.Dataset, array: xr.DataArray) -> xr.DataArray:
    """Tell the runs that took place from those that an unfinished sweep has not come to."""
    seen = array.notnull().any("step")
    if "status" not in ds.data_vars:
        return seen
    return (seen | (ds["status"] > 0)).transpose(*seen.dims, ...)


def last_record(array: xr.DataArray) -> xr.DataArray:
    """Return every run's last record that is a number; nan where it has none."""
    index = array.notnull().cumsum("step").argmax("step")
    return array.isel(step=index).drop_vars("step", errors="ignore")


def grokking_time(ds: xr.Dataset, threshold: float = 0.9, part: str = "test") -> xr.Dataset:
    """Measure how long generalisation lags behind fitting.

    `step_train`, `step_test`: first recorded step with train, test accuracy >= threshold; `delay = step_test -
    step_train`, negative where the test set came first. Liu et al. 2022 ("Towards understanding grokking") read both
    times at 90 %. Each is known to one record interval, see `first_step`. `part` is the part of the rows whose accuracy
    tells of generalisation in place of test, see `parts`; its name takes the place of `test` in those of the variables.

    Returns a Dataset over the swept axes: the three times (float64, optimizer steps, nan where not reached; `delay` nan
    where either is missing), and `train_censored`, `test_censored` (bool).

    Raises ValueError when `train_accuracy` or `test_accuracy` is missing or `threshold` is not in (0, 1], or for an
    unknown part.
    """
    threshold = checks.fraction(threshold, "threshold")
    out = xr.Dataset(attrs=ds.attrs)
    for split in ("train", part):
        found = first_step(ds, one_part(ds, split), threshold)
        out[f"step_{split}"] = found["first_step"].assign_attrs(ancillary_variables=f"{split}_censored")
        out[f"{split}_censored"] = found["censored"]
    out["delay"] = out[f"step_{part}"] - out["step_train"]
    out["delay"].attrs = {
        "long_name": "delay of generalization",
        "units": "steps",
        "ancillary_variables": f"train_censored {part}_censored",
        "budget": int(ds["step"][-1]),
    }
    return out
