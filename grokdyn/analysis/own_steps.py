"""The records of one variable: not every record measures what a probe with a cadence gives."""

import numpy as np
import xarray as xr

from . import checks


def measured(ds: xr.Dataset, variable: str) -> xr.DataArray:
    """Return a variable at its own steps, those of the records that measured it in some run.

    A probe with `every` measures at some of the records; at the others its variables are nan. Runs that ended before
    are nan here too.

    Returns the DataArray with a `step` of its own; as it is where every record measures it.

    Raises ValueError for an unknown variable or one without `step`.
    """
    array = checks.recorded(ds, variable)
    if not array.attrs.get("every"):
        return array
    there = array.notnull().any([dim for dim in array.dims if dim != "step"])
    return array.isel(step=np.flatnonzero(there.values))
