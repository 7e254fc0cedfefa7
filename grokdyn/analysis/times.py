"""When something first happens in a run, to the resolution of its records."""

import operator

import numpy as np
import xarray as xr

from . import checks
from .censoring import DIVERGED, INTERVAL, UNFITTED, UNKNOWN, flags, told_end
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
    censored: nothing is known of it. Beside it what is known of the crossing itself: it lies in (`low`, `high`], from
    the last record below (0 where there is none) to the first that reached, inf where none did; `low` is then the
    run's last record. `censoring` (int8) tells why no more is known, see `CENSORING`.

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
    return out.assign(_bounds(ds, array, reached, out))


def _bounds(ds: xr.Dataset, array: xr.DataArray, reached: xr.DataArray, found: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return between which records the crossing lies, and why no more is known of it."""
    seen, ever = found["first_step"].notnull() | found["censored"], found["first_step"].notnull()
    before = array.notnull() & (reached.cumsum("step") == 0)
    low = ds["step"].where(before).max("step").fillna(0.0).where(seen).astype(np.float64)
    high = found["first_step"].where(ever, np.inf).where(seen)
    code = xr.where(ever, INTERVAL, told_end(ds, array)).where(seen, UNKNOWN).astype(np.int8)
    name = found["first_step"].attrs["long_name"]
    return {
        "low": low.assign_attrs(long_name=f"last record before the {name}", units="steps"),
        "high": high.assign_attrs(long_name=f"record of the {name}", units="steps"),
        "censoring": code.assign_attrs(long_name="what is known of the time", **flags()),
    }


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
    where either is missing), and `train_censored`, `test_censored` (bool). Beside each time its interval and what is
    known of it as `first_step` has them: `train_low`, `train_high`, `train_censoring`, likewise `test_`, and `delay_`:
    the delay lies in (test_low - train_high, test_high - train_low), open to -inf and inf where nothing was fitted.

    Raises ValueError when `train_accuracy` or `test_accuracy` is missing or `threshold` is not in (0, 1], or for an
    unknown part.
    """
    threshold = checks.fraction(threshold, "threshold")
    out = xr.Dataset(attrs=ds.attrs)
    for split in ("train", part):
        found = first_step(ds, one_part(ds, split), threshold)
        out[f"step_{split}"] = found["first_step"].assign_attrs(ancillary_variables=f"{split}_censored")
        out[f"{split}_censored"] = found["censored"]
        out = out.assign({f"{split}_{name}": found[name] for name in ("low", "high", "censoring")})
    out["delay"] = out[f"step_{part}"] - out["step_train"]
    out["delay"].attrs = {
        "long_name": "delay of generalization",
        "units": "steps",
        "ancillary_variables": f"train_censored {part}_censored",
        "budget": int(ds["step"][-1]),
    }
    return out.assign(_delay_bounds(out, part))


def _delay_bounds(times: xr.Dataset, part: str) -> dict[str, xr.DataArray]:
    fitted, code = times["step_train"].notnull(), times["train_censoring"]
    unfitted = xr.where(code == DIVERGED, DIVERGED, UNFITTED).where(code != UNKNOWN, UNKNOWN)
    low = times[f"{part}_low"] - times["train_high"]
    high = times[f"{part}_high"] - times["train_low"]
    code = times[f"{part}_censoring"].where(fitted, unfitted).astype(np.int8)
    named = {"units": "steps"}
    return {
        "delay_low": low.assign_attrs(long_name="least delay that the records allow", **named),
        "delay_high": high.assign_attrs(long_name="largest delay that the records allow", **named),
        "delay_censoring": code.assign_attrs(long_name="what is known of the delay", **flags()),
    }
