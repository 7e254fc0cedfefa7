"""How often a variable changes its sign, as the residual of a run that oscillates does."""

from __future__ import annotations

import numpy as np
import xarray as xr

from . import checks
from .own_steps import measured


def sign_flips(ds: xr.Dataset, variable: str = "residual") -> xr.DataArray:
    """Return the share of updates over which a variable changes its sign, in every run.

    Of all pairs of records one update apart in which it is a number above or below 0, those with different signs; a
    record between updates of which nothing was recorded tells of none. Record at every step, or in stretches of steps.

    Returns a DataArray over the axes of the variable without `step`; nan where there is no such pair.

    Raises ArgumentError (a ValueError) for an unknown variable, or where no two records are one update apart.
    """
    array = measured(ds, variable)
    steps = np.asarray(array["step"].values)
    beside = np.diff(steps) == 1
    if not beside.any():
        raise checks.ArgumentError(f"variable={variable!r}: no two records are one update apart; record every step.")
    signs = np.sign(array.transpose(..., "step"))
    one, other = signs.values[..., :-1][..., beside], signs.values[..., 1:][..., beside]
    known = np.abs(one * other) == 1
    with np.errstate(invalid="ignore"):
        shares = np.sum(known & (one != other), axis=-1) / np.sum(known, axis=-1)
    found = signs.isel(step=0, drop=True).copy(data=shares)
    return found.rename("sign_flips").assign_attrs(long_name="share of updates that change the sign", units="1")
