"""A curve of the eigenvalues' density from what random starts saw of it."""

from typing import Any

import numpy as np
import xarray as xr

from . import checks


def spectral_density(ds: xr.Dataset, eigenvalues: Any, width: Any) -> xr.Dataset:
    """Smooth what the probe `hessian_density` recorded into a density of eigenvalues.

    phi(x) = mean over starts of sum_ritz weight N(x; node, width^2), whose mean is that of the exact density smoothed
    by the same Gaussian, but for what few iterations leave out.

    Args:
        eigenvalues: [points], where the density is asked for.
        width: standard deviation of the Gaussian, above 0.

    Returns a Dataset over the swept axes, `step` and `eigenvalue`: `density`, and `density_error`, its standard error
    over starts.

    Raises ArgumentError (a ValueError) without that probe's variables, for a width that is not above 0, and for
    eigenvalues that are no finite numbers in a row.
    """
    nodes, weights = (checks.variable(ds, name, "ds") for name in ("density_node", "density_weight"))
    if checks.number(width, "width") <= 0:
        raise checks.ArgumentError(f"width={width!r}: expected a number above 0.")
    grid = np.asarray(eigenvalues, np.float64)
    if grid.ndim != 1 or not len(grid) or not np.isfinite(grid).all():
        raise checks.ArgumentError("eigenvalues: expected finite numbers in a row, at least one.")
    x = xr.DataArray(grid, dims="eigenvalue", coords={"eigenvalue": grid})
    bell = np.exp(-0.5 * ((x - nodes) / width) ** 2) / (width * np.sqrt(2 * np.pi))
    each = (weights * bell).sum("ritz", skipna=False)
    found = xr.Dataset({"density": each.mean("start", skipna=False)}, attrs=ds.attrs)
    found["density_error"] = each.std("start", ddof=1, skipna=False) / np.sqrt(each.sizes["start"])
    found["density"].attrs = {"long_name": "density of eigenvalues of the Hessian"}
    found["density_error"].attrs = {"long_name": "standard error of the density of eigenvalues"}
    return found
