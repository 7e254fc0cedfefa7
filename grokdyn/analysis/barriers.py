"""By how much the loss rises between two networks."""

from __future__ import annotations

import numpy as np
import xarray as xr

from . import checks

SHARE = "share"


def barrier(ds: xr.Dataset, variable: str = "train_loss") -> xr.DataArray:
    """Return the barrier between pairs of networks: max over s of L(s) - (1 - s) L(0) - s L(1) (Frankle et al. 2020).

    0 where the variable lies on or below the line between both ends everywhere that it was measured; the maximum over
    finitely many s is at most the barrier.

    Args:
        ds: results of ``gd.connect``, with the dimension ``share`` of s, from 0 to 1.
        variable: one that gets worse as it rises: a loss.

    Returns the barrier over the other dimensions, float64; nan where a pair is missing.

    Raises ArgumentError (a ValueError) for an unknown variable, or results that are not of ``gd.connect``.
    """
    array = checks.variable(ds, variable)
    if SHARE not in array.dims or ds[SHARE].values[0] != 0 or ds[SHARE].values[-1] != 1:
        raise checks.ArgumentError(
            f"ds: expected a dimension 'share' from 0 to 1, as of gd.connect, got: {checks.listed(array.dims)}."
        )
    values, s = array.astype(np.float64), ds[SHARE]
    line = (1 - s) * values.isel({SHARE: 0}, drop=True) + s * values.isel({SHARE: -1}, drop=True)
    found = (values - line).max(SHARE, skipna=False)
    found.attrs = {
        "long_name": f"barrier of {array.attrs.get('long_name', variable)}",
        "units": array.attrs.get("units", "1"),
    }
    return found.rename(f"{variable}_barrier")
