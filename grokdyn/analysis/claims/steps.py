"""When values of runs first reach a level: to the records around it, or interpolated between them."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ..checks import ArgumentError


def interpolated_step(values: xr.DataArray, threshold: float) -> xr.DataArray:
    """Return the step at which values first reach a threshold, linear between records; inf where they never do.

    For figures, and for what is read at that step. A claim about a time takes ``crossing``.
    """
    return _apply(values, threshold, _interpolated)


def crossing(values: xr.DataArray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Return between which records values first reach a threshold, (low, high], for all runs one after another.

    high is inf where they never do, low then the last record; both are nan for a run without a record. The dimensions
    besides `step` keep their order.
    """
    found = [_apply(values, threshold, one).values.ravel() for one in (_low, _high)]
    return found[0], found[1]


def _apply(values: xr.DataArray, threshold: float, one) -> xr.DataArray:
    if "step" not in values.dims:
        raise ArgumentError(f"values: expected a dimension 'step'; they have {', '.join(map(str, values.dims))}.")
    steps = values["step"].values.astype(np.float64)

    def of(series: np.ndarray) -> float:
        known = ~np.isnan(series)
        hit = np.flatnonzero(series[known] >= threshold)
        return one(steps[known], series[known], hit[0] if len(hit) else None, threshold)

    return xr.apply_ufunc(of, values, input_core_dims=[["step"]], vectorize=True)


def _interpolated(t: np.ndarray, y: np.ndarray, i: int | None, threshold: float) -> float:
    if i is None:
        return np.inf
    if i == 0:
        return float(t[0])
    return float(t[i - 1] + (t[i] - t[i - 1]) * (threshold - y[i - 1]) / (y[i] - y[i - 1]))


def _low(t: np.ndarray, y: np.ndarray, i: int | None, threshold: float) -> float:
    if not len(t):
        return np.nan
    return float(t[-1] if i is None else t[i - 1] if i else 0.0)


def _high(t: np.ndarray, y: np.ndarray, i: int | None, threshold: float) -> float:
    if not len(t):
        return np.nan
    return np.inf if i is None else float(t[i])


def quotient(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return between which ends the ratio of two times of the same runs lies; nan where neither was seen to end."""
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = one[0] / other[1], one[1] / other[0]
    return np.where(np.isnan(high), np.nan, low), np.where(np.isnan(low), np.nan, high)
