"""How far weights wander: their distance from the first ones, as a logarithm of time and as a power of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from scipy.special import stdtrit

from . import checks

# Exponents of the power law lie between these; beyond the upper one it would be faster than a ballistic flight.
LEAST, MOST = 1e-3, 2.0
# Places of a first look for the best exponent, which a search between two of them refines.
LOOKS = 41
FITTED = ("intercept", "slope", "exponent", "log_explained", "power_explained")


def diffusion(
    ds: xr.Dataset,
    variable: str = "distance_from_init",
    first: float = 1,
    last: float | None = None,
    over: str = "seed",
    confidence: float = 0.95,
) -> xr.Dataset:
    """Fit the distance of the weights from the first ones by a + b log t and by its rival c t^k, run by run.

    Ultra-slow diffusion on a random potential, |w_t - w_0| ~ log t (Hoffer, Hubara & Soudry 2017). Both laws have two
    numbers, found by least squares of the distance itself over the records from step ``first`` to ``last``. Records
    of a run follow from each other, so that residuals tell nothing of errors: intervals are those of independent runs.

    Args:
        ds: a Dataset with ``variable`` [..., step], one value a record.
        last: None: the last record of a run.
        over: the dimension of runs that differ by chance.

    Returns a Dataset over the swept axes: ``intercept`` a and ``slope`` b (distance per unit of log t), ``exponent`` k,
    ``log_explained`` and ``power_explained``, the shares of the distance's variance over the records that the laws
    explain; nan of a run with fewer than four such records, or without any motion. Where there is a dimension ``over``,
    each has ``_mean``, ``_low`` and ``_high`` without it: the mean over runs and Student's interval of it.

    Raises ArgumentError (a ValueError) for an unknown variable, one with axes of its own, or steps that leave nothing.
    """
    array = checks.recorded(ds, variable)
    own = [dim for dim in array.dims if dim not in (*checks.swept_axes(ds), "step")]
    if own:
        raise checks.ArgumentError(f"variable={variable!r}: has {checks.listed(own)}; expected one value a record.")
    (confidence,) = checks.probabilities(confidence, "confidence")
    steps = ds["step"].values.astype(np.float64)
    least, most = checks.number(first, "first"), np.inf if last is None else checks.number(last, "last")
    kept = (steps >= least) & (steps <= most) & (steps > 0)
    if least <= 0 or kept.sum() < 4:
        told = f"first={first!r}, last={last!r}: {kept.sum()} records lie there"
        raise checks.ArgumentError(f"{told}; expected first above 0 and at least 4 records.")
    found = xr.apply_ufunc(
        lambda d: np.stack(fits(steps[kept], d), axis=-1),
        array.isel(step=np.flatnonzero(kept)).astype(np.float64),
        input_core_dims=[["step"]],
        output_core_dims=[["fitted"]],
        vectorize=True,
    )
    out = xr.Dataset({name: found.isel(fitted=i) for i, name in enumerate(FITTED)}, attrs=ds.attrs)
    for name, long_name in zip(FITTED, LONG_NAMES, strict=True):
        out[name].attrs = {"long_name": long_name, "units": "1"}
    return out.merge(means(out, over, confidence)) if over in array.dims else out


LONG_NAMES = (
    "distance at step 1 by the logarithm",
    "distance per unit of log step",
    "exponent of the power law",
    "variance explained by log step",
    "variance explained by a power of it",
)


def fits(t: np.ndarray, d: np.ndarray) -> tuple[float, ...]:
    """Return the numbers of both laws for the distances of one run, in the order of ``FITTED``."""
    known = np.isfinite(d)
    t, d = t[known], d[known]
    spread = np.sum((d - d.mean()) ** 2) if len(d) >= 4 else 0.0
    if spread == 0:
        return (np.nan,) * len(FITTED)
    columns = np.column_stack([np.ones_like(t), np.log(t)])
    (a, b), *_ = np.linalg.lstsq(columns, d, rcond=None)
    k = best_exponent(t, d)
    left = np.sum((d - columns @ (a, b)) ** 2), left_by_power(k, t, d)
    return (float(a), float(b), k, *(float(1 - x / spread) for x in left))


def left_by_power(k: float, t: np.ndarray, d: np.ndarray) -> float:
    """Return the sum of squares that c t^k leaves of distances, with the best c."""
    power = t**k
    return float(np.sum((d - (d @ power) / (power @ power) * power) ** 2))


def best_exponent(t: np.ndarray, d: np.ndarray) -> float:
    """Return the exponent of least squares."""
    from scipy.optimize import minimize_scalar

    looks = np.geomspace(LEAST, MOST, LOOKS)
    at = int(np.argmin([left_by_power(k, t, d) for k in looks]))
    ends = looks[max(at - 1, 0)], looks[min(at + 1, LOOKS - 1)]
    found: Any = minimize_scalar(left_by_power, bounds=ends, args=(t, d), method="bounded")
    return float(found.x)


def means(found: xr.Dataset, over: str, confidence: float) -> xr.Dataset:
    """Return the mean of every variable over runs, with Student's interval."""
    out = {}
    for name, array in found.data_vars.items():
        runs = array.notnull().sum(over)
        error = array.std(over, ddof=1) / np.sqrt(runs)
        half = xr.zeros_like(error).copy(data=stdtrit(np.maximum(runs - 1, 1), (1 + confidence) / 2)) * error
        middle = array.mean(over)
        out |= {f"{name}_mean": middle, f"{name}_low": middle - half, f"{name}_high": middle + half}
        for end in ("mean", "low", "high"):
            out[f"{name}_{end}"].attrs = array.attrs
    return xr.Dataset(out)
