"""How runs that differ only by chance spread."""

import math
from collections.abc import Sequence

import numpy as np
import xarray as xr

from . import checks
from .order_statistics import median_interval, ordered, quantile

CODES = ("status", "diverged_at", "phase")


def spread(
    ds: xr.Dataset,
    over: str | Sequence[str] = "seed",
    quantiles: Sequence[float] = (0.1, 0.9),
    confidence: float = 0.95,
) -> xr.Dataset:
    """Summarise every variable over runs that differ by chance.

    Each numeric variable with the dimension(s) `over` loses them and gains `statistic`, labelled

        median, mean        standard_error = std(ddof=1) / sqrt(runs)
        median_low, median_high    bootstrap interval for the median at `confidence` (percentile, fixed seed)
        q0.1, q0.9, ...     the `quantiles`, linear between runs
        runs, censored      how many runs have a value, how many of these only a lower bound

    Other variables are kept as they are; codes (`status`, `diverged_at`, `phase`, those with flag values) over
    `over` are left out. Units are those of the variable. nan is no value: it leaves the statistics and `runs`. Censored
    times (nan, with a true flag in the variables that the attribute `ancillary_variables` names, as `first_step` and
    `grokking_time` write it) count as longer than any other: a median or quantile that falls on or next to one is nan,
    "beyond the budget", so a median is nan once half of the runs are censored, and a mean once a single one is.

    Returns a Dataset with the variables' names and units.

    Raises ValueError for an unknown `over`, or `quantiles`, `confidence` outside [0, 1].
    """
    dims = tuple(checks.dimension(ds, d, "over") for d in ([over] if isinstance(over, str) else over))
    quantiles, (confidence,) = checks.probabilities(quantiles), checks.probabilities(confidence, "confidence")
    out = xr.Dataset(attrs=ds.attrs)
    for name, array in ds.data_vars.items():
        if not set(dims) & set(array.dims):
            out[name] = array
        elif name not in CODES and "flag_values" not in array.attrs and array.dtype.kind in "fiub":
            out[name] = _summary(_values(ds, array), dims, quantiles, confidence)
    return out


def _values(ds: xr.Dataset, array: xr.DataArray) -> xr.DataArray:
    """Return float values with inf where a run's value is only known to lie beyond its records."""
    flags = [ds[f] for f in str(array.attrs.get("ancillary_variables", "")).split() if f in ds.data_vars]
    values = array.astype(np.float64)
    for flag in flags:
        values = values.where(~flag, np.inf)
    return values.transpose(*array.dims).assign_attrs(array.attrs)


def _summary(array: xr.DataArray, dims: tuple[str, ...], quantiles: tuple[float, ...], confidence: float):
    present = [d for d in dims if d in array.dims]
    table = array.transpose(..., *present)
    template = table.isel(dict.fromkeys(present, 0), drop=True)
    # Not reshape(size, -1), which cannot tell how long the rows of an empty table are.
    values, count = ordered(table.values.reshape(template.size, math.prod(array.sizes[d] for d in present)))
    mean, error = _mean_and_error(values, count)
    low, high = median_interval(values, count, confidence)
    rows = {"median": quantile(values, count, 0.5), "mean": mean, "standard_error": error}
    rows |= {"median_low": low, "median_high": high}
    rows |= {f"q{q:g}": quantile(values, count, q) for q in quantiles}
    rows |= {"runs": count.astype(float), "censored": np.sum(np.isposinf(values), axis=-1).astype(float)}
    labelled = [template.copy(data=row.reshape(template.shape)) for row in rows.values()]
    out = xr.concat(labelled, xr.DataArray(list(rows), dims="statistic", name="statistic"))
    return out.assign_attrs(array.attrs)


def _mean_and_error(values: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    valid, n = ~np.isnan(values), np.maximum(count, 1)
    known = (count > 0) & ~np.any(np.isinf(values), axis=-1)
    values = np.where(valid & known[..., None], values, 0.0)
    mean = np.sum(values, axis=-1) / n
    squares = np.sum(np.where(valid, (values - mean[..., None]) ** 2, 0.0), axis=-1)
    error = np.sqrt(squares / np.maximum(count - 1, 1) / n)
    return np.where(known, mean, np.nan), np.where(known & (count > 1), error, np.nan)
