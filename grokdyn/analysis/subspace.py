"""In how many dimensions training moves."""

from __future__ import annotations

import numpy as np
import xarray as xr

from . import checks

NAMES = ("participation", "dimension")


def update_subspace(ds: xr.Dataset, variable: str = "weight", share: float = 0.9) -> xr.Dataset:
    """Return the dimension of the space in which recorded weights move from record to record.

    With d_k the change of the weights from record k to the next and l the eigenvalues of sum_k d_k d_k^T:
    ``participation``, (sum l)^2 / sum l^2, and ``dimension``, the fewest eigenvectors that hold ``share`` of sum l.
    Records should be evenly spaced; those of a run after its end are left out.

    Args:
        variable: recorded weights, such as those of the probe ``weights``, with one axis of their own.

    Returns the two over the swept axes, float64; nan for runs that do not move, or of one record.

    Raises ArgumentError (a ValueError) for an unknown variable, one without an axis of its own, or a share outside
    (0, 1].
    """
    array, share = checks.recorded(ds, variable), checks.fraction(share, "share")
    own = [dim for dim in array.dims if dim not in (*checks.swept_axes(ds), "step")]
    if len(own) != 1:
        raise checks.ArgumentError(f"variable={variable!r}: has axes {checks.listed(own)}; expected one of its own.")

    def of_run(values: np.ndarray) -> np.ndarray:
        known = values[np.isfinite(values).all(axis=1)]
        return np.array(dimensions(np.diff(known, axis=0), share))

    found = xr.apply_ufunc(
        of_run,
        array.astype(np.float64),
        input_core_dims=[["step", own[0]]],
        output_core_dims=[["found"]],
        vectorize=True,
    )
    out = xr.Dataset({name: found.isel(found=i) for i, name in enumerate(NAMES)}, attrs=ds.attrs)
    for name in NAMES:
        out[name].attrs = {"long_name": f"{name} of updates", "units": "1"}
    return out


def dimensions(vectors: np.ndarray, share: float) -> tuple[float, float]:
    """Return participation ratio and dimension of vectors [count, entries]."""
    squares = np.square(np.linalg.svd(vectors, compute_uv=False)) if len(vectors) else np.zeros(0)
    total = squares.sum()
    if total == 0:
        return np.nan, np.nan
    return float(total**2 / np.sum(squares**2)), float(np.sum(np.cumsum(squares)[:-1] < share * total) + 1)
