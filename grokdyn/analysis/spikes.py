"""Spikes of a loss that had fallen: slingshots, and the edge of stability."""

import numpy as np
import xarray as xr

from . import checks
from .own_steps import measured


def spikes(ds: xr.Dataset, variable: str = "train_loss", factor: float = 10.0, window: int = 20) -> xr.Dataset:
    """Find where a variable jumps above what it was for a while, in every run.

    A spike begins at a record that is above each of the last `window` records, and at least `factor` times their
    median. It lasts until a record falls below that median times sqrt(factor), and counts once; of two spikes within
    `window` records the second counts only if it is the higher. The first `window` records of a run, and nan, begin
    none; 0 counts as the smallest positive record of the run.

    False alarms: where the records of a run without spikes are exchangeable, or fall, a record lies above the `window`
    before it with probability 1 / (window + 1) at most, whatever their distribution; and never by `factor` where the
    noise stays within a factor of sqrt(factor) around a level that does not rise. To leave the records of a spike out
    of later windows would undo the first of these.

    Returns a Dataset over the swept axes and `step`: `spike` (bool: a spike begins at this record), and without `step`
    `spikes` (int: how many), `first_spike` (float64, steps; nan where none) and `spike_records` (int: records after
    the first `window`, for a rate).

    Raises ArgumentError (a ValueError) for an unknown variable, one with axes of its own, a factor of at most 1, or a
    window below 3.
    """
    array = measured(ds, variable)
    own = [dim for dim in array.dims if dim not in (*checks.swept_axes(ds), "step")]
    if own:
        raise checks.ArgumentError(f"variable={variable!r}: has {checks.listed(own)}; expected one value a record.")
    if checks.number(factor, "factor") <= 1:
        raise checks.ArgumentError(f"factor={factor!r}: expected a number above 1.")
    if isinstance(window, bool) or not isinstance(window, int | np.integer) or window < 3:
        raise checks.ArgumentError(f"window={window!r}: expected a whole number of records, at least 3.")
    axes = [dim for dim in array.dims if dim != "step"]
    values = array.transpose(*axes, "step")
    begun, asked = beginnings(values.values.reshape(-1, values.sizes["step"]), float(factor), int(window))
    found = xr.Dataset({"spike": values.copy(data=begun.reshape(values.shape))}, attrs=ds.attrs)
    found["spike"].attrs = {"long_name": f"a spike of {variable} begins"}
    found["spikes"] = found.spike.sum("step").assign_attrs(long_name=f"spikes of {variable}")
    first = values["step"].isel(step=found.spike.argmax("step")).drop_vars("step").astype(np.float64)
    found["first_spike"] = first.where(found.spike.any("step")).assign_attrs(long_name="first spike", units="steps")
    found["spike_records"] = found.spikes.copy(data=asked.reshape(found.spikes.shape))
    found["spike_records"].attrs = {"long_name": "records after the first window"}
    return found


def beginnings(values: np.ndarray, factor: float, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where spikes begin [runs, records], and how many records of every run have a window [runs]."""
    runs, records = values.shape
    logs = logarithms(values)
    past = np.full((runs, window), np.nan)  # the last records that are numbers, oldest first
    level = np.full(runs, np.nan)  # the median before the spike that a run is in; nan where it is in none
    begun, asked = np.zeros((runs, records), bool), np.zeros(runs, int)
    for i in range(records):
        now = logs[:, i]
        known = ~np.isnan(now)
        level = np.where(now < level + np.log(factor) / 2, np.nan, level)  # False where either is nan
        full = known & ~np.isnan(past[:, 0])
        middle = np.median(past, axis=1)
        high = full & (now > past.max(1)) & (now >= middle + np.log(factor))
        begun[:, i], asked = high & np.isnan(level), asked + full
        level = np.where(begun[:, i], middle, level)
        past[known] = np.column_stack([past[known, 1:], now[known]])
    return begun, asked


def logarithms(values: np.ndarray) -> np.ndarray:
    """Return log values [runs, records], 0 as the smallest positive number of its run."""
    values = np.where(np.isfinite(values) & (values >= 0), values, np.nan).astype(np.float64)
    positive = np.where(values > 0, values, np.inf).min(1, initial=np.inf, keepdims=True)
    return np.log(np.where(values == 0, np.where(np.isfinite(positive), positive, 1.0), values))
