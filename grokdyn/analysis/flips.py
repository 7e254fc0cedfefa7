"""How often a variable changes its sign, as the residual of a run that oscillates does."""

from __future__ import annotations

import numpy as np
import xarray as xr

from . import checks
from .own_steps import measured


def sign_flips(ds: xr.Dataset, variable: str = "residual", beyond: float = 0.0) -> xr.DataArray:
    """Return the share of updates over which a variable changes its sign, in every run.

    Of all pairs of records one update apart in which it is a number, those with different signs, both of them at least
    `beyond` away from 0; records further apart tell of none. Record every step, or stretches of steps. A residual that
    settles alternates too where the step is large, ever nearer to 0: `beyond` asks for an oscillation that lasts.

    Returns a DataArray over the axes of the variable without `step`; nan where there is no such pair.

    Raises ArgumentError (a ValueError) for an unknown variable, a negative `beyond`, or where no two records are one
    update apart.
    """
    array = measured(ds, variable).transpose(..., "step")
    if checks.number(beyond, "beyond") < 0:
        raise checks.ArgumentError(f"beyond={beyond!r}: expected a number from 0 on.")
    beside = np.diff(array["step"].values) == 1
    if not beside.any():
        raise checks.ArgumentError(f"variable={variable!r}: no two records are one update apart; record every step.")
    one, other = array.values[..., :-1][..., beside], array.values[..., 1:][..., beside]
    known = ~np.isnan(one) & ~np.isnan(other)
    far = np.minimum(np.abs(one), np.abs(other)) >= beyond
    flipped = np.sum(known & far & (np.sign(one) * np.sign(other) < 0), axis=-1)
    pairs = np.sum(known, axis=-1)
    found = array.isel(step=0, drop=True).copy(data=np.where(pairs > 0, flipped / np.maximum(pairs, 1), np.nan))
    return found.rename("sign_flips").assign_attrs(long_name="share of updates that change the sign", units="1")
