"""Where what probes found cannot be trusted."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray as xr


class Untrusted(UserWarning):
    """A probe's own diagnostic is beyond the bound up to which the probe can be trusted."""


def warn_of_untrusted(found: xr.Dataset) -> xr.Dataset:
    """Return results; warn, once a variable, of runs in which a diagnostic is above its ``trusted_to``.

    A diagnostic that was not measured, or has no value, is no reason to warn.
    """
    swept = [axis for axis in found.attrs["axes"].split() if axis in found.dims]
    for name, array in found.data_vars.items():
        bound = array.attrs.get("trusted_to")
        if bound is None:
            continue
        worst = np.asarray(array.max([axis for axis in array.dims if axis not in swept], skipna=True))
        above = worst > bound
        if above.any():
            runs = f"{int(above.sum())} of {above.size} run{'s' if above.size > 1 else ''}"
            warnings.warn(
                f"{name}: above {bound:g} in {runs}, up to {np.nanmax(worst):.3g}; "
                f"expected at most that, or what its probe says there cannot be trusted ({array.attrs['long_name']})",
                Untrusted,
                stacklevel=3,
            )
    return found
