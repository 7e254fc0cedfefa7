"""How often single rows are learned and forgotten."""

import numpy as np
import xarray as xr

from .own_steps import measured


def forgetting(ds: xr.Dataset, variable: str = "row_correct") -> xr.DataArray:
    """Count how often each row goes from right to wrong between records (Toneva et al. 2019).

    A row that is right in no record has inf, as never learned. Records that are nan end a run. The counts depend on
    how often is recorded: falls between two records are not seen.

    Args:
        ds: a Dataset with ``variable`` [..., step, row], 1 where a row is right, as the probe ``example_scores`` gives.

    Returns:
        Counts over the other dimensions, float64.

    Raises ValueError for an unknown variable or one without `step`.
    """
    right = measured(ds, variable)
    known = right.notnull()
    fell = (right.isel(step=slice(None, -1)).values > 0.5) & (right.isel(step=slice(1, None)).values < 0.5)
    axis = right.get_axis_num("step")
    counts = xr.zeros_like(right.isel(step=0), dtype=np.float64).drop_vars("step", errors="ignore")
    counts.values[...] = fell.sum(axis=axis)
    counts = counts.where((right > 0.5).any("step"), np.inf).where(known.any("step"))
    return counts.rename("forgetting").assign_attrs(long_name="times forgotten", units="1")
