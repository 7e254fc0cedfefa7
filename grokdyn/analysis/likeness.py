"""How alike the features of a network are at different times."""

import xarray as xr

from . import checks
from .own_steps import measured


def cka_over_time(ds: xr.Dataset, variable: str = "feature_gram") -> xr.DataArray:
    """Return the linear CKA of every layer between all pairs of records (Kornblith et al. 2019).

    Args:
        ds: a Dataset with ``variable`` [..., step, activation, feature_row, other_feature_row], as the probe
            ``feature_cka`` gives with ``grams``.

    Returns:
        CKA [..., step, layer, other_step], 1 where both steps are the same; nan where either record is missing.

    Raises ValueError for an unknown variable or one without `step` or rows.
    """
    gram = measured(ds, variable)
    rows = ("feature_row", "other_feature_row")
    missing = [axis for axis in rows if axis not in gram.dims]
    if missing:
        raise checks.ArgumentError(f"variable={variable!r}: has no dimension {checks.listed(missing)}.")
    # Products that hold nan give nan: a record of a run that has ended.
    found = xr.dot(gram, gram.rename(step="other_step"), dim=rows)
    return found.rename("cka").assign_attrs(long_name="CKA between records", units="1")
