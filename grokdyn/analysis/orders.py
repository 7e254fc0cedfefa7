"""Does a measure order runs as their generalisation gap does? Kendall's tau over a grid, whole and by single axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from . import checks


class Orders(NamedTuple):
    """How a measure orders the cells of a grid.

    Attributes:
        tau: over all pairs of cells, over the dimensions that are not of the grid.
        by_axis: the same of pairs that differ in one axis alone, [axis, ...].
        granulated: its mean over the axes.
    """

    tau: xr.DataArray
    by_axis: xr.DataArray
    granulated: xr.DataArray


def kendall(measure: xr.DataArray, of: xr.DataArray, axes: Sequence[str]) -> Orders:
    """Compare the order of a measure with that of another over a grid, such as of hyperparameters (Jiang et al. 2020).

    tau = 1 / (n (n - 1)) sum_{i != j} sign(m_i - m_j) sign(g_i - g_j): 1 where both order all cells alike, 0 where they
    have nothing to do with each other; a tie counts as neither, so that a measure of no values has 0. Over a grid it is
    high for a measure that follows one axis alone: granulated, the mean over axes of the mean tau along lines in which
    all others are held.

    Args:
        measure, of: one number a run, with the axes among their dimensions; any other, such as ``seed`` or
            ``measure``, is compared by itself.
        axes: dimensions of the grid, each of at least two values.

    Returns the three, float64; nan where a cell is nan. An infinite value is above all others.

    Raises ArgumentError (a ValueError) for an axis that is none of both, is named twice or has one value.
    """
    axes = tuple(axes)
    for axis in axes:
        for array, name in ((measure, "measure"), (of, "of")):
            if axis not in array.dims:
                raise checks.ArgumentError(
                    f"axes={axis!r}: {name} has no such dimension, only: {checks.listed(array.dims)}."
                )
        if measure.sizes[axis] < 2 or axes.count(axis) > 1:
            raise checks.ArgumentError(f"axes={axis!r}: expected different axes of at least two values.")
    if not axes:
        raise checks.ArgumentError("axes: got none; expected at least one dimension of the grid.")
    measure, of = (array.astype(np.float64) for array in xr.broadcast(measure, of))
    lines = [along(measure, of, (axis,)).mean([a for a in axes if a != axis], skipna=False) for axis in axes]
    by_axis = xr.concat(lines, xr.Variable("axis", list(axes)))
    return Orders(along(measure, of, axes), by_axis, by_axis.mean("axis", skipna=False))


def along(measure: xr.DataArray, of: xr.DataArray, axes: tuple[str, ...]) -> xr.DataArray:
    """Return tau over all pairs of cells along axes, whatever the others."""
    found = xr.apply_ufunc(tau, measure, of, input_core_dims=[list(axes)] * 2, vectorize=True)
    found.attrs = {"long_name": "Kendall's tau", "units": "1"}
    return found


def tau(one: np.ndarray, other: np.ndarray) -> float:
    """Return Kendall's tau of two arrays of one shape, ties as neither order; nan where a value is."""
    a, b = one.ravel(), other.ravel()
    if np.isnan(a).any() or np.isnan(b).any():
        return np.nan
    agreed = above(a) * above(b)
    return float(agreed.sum() / (a.size * (a.size - 1)))


def above(values: np.ndarray) -> np.ndarray:
    """Return the signs of all differences [cells, cells]; two infinite values of one sign are equal."""
    return (values[:, None] > values).astype(np.float64) - (values[:, None] < values)
