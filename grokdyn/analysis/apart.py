"""Runs told apart from the points they belong to."""

import xarray as xr

from . import checks
from .gridded import RUN

POINT = "point"


def with_points(ds: xr.Dataset) -> xr.Dataset:
    """Return results whose runs can be numbered along a dimension `run`.

    Single points that have several runs each, such as seeds, then lie along `point`.
    """
    axes = checks.swept_axes(ds)
    if RUN not in axes or len(axes) == 1:
        return ds
    renamed = ds.rename({RUN: POINT}) if RUN in ds.coords else ds.rename_dims({RUN: POINT})
    return renamed.assign_attrs(axes=" ".join(POINT if axis == RUN else axis for axis in axes))
