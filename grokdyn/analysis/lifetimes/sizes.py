"""How many rows it takes: the smallest number at which runs come to something."""

from __future__ import annotations

import numpy as np
import xarray as xr

from .. import checks
from ..censoring import INTERVAL, RIGHT, UNKNOWN, flags
from .events import event_times

# What ``scaling`` calls these in a formula.
EVENT = "sample_size"


def sample_sizes(ds: xr.Dataset, event: str, size: str = "train_points", threshold: float = 0.9) -> xr.Dataset:
    """Return the smallest size of the train set at which runs come to an event, whenever in training.

    The size is known to an interval: it is above the largest of the sizes below that did not come to it (0 where there
    is none) and at most the first that did, inf where none did. Sizes that come to it are not asked to do so at all
    larger ones too. A run of which nothing is known is left out. Pass the result to ``scaling`` as "sample_size ~
    dimension" for exponents.

    Args:
        event: as for ``event_times``: "test_unexplained <= 0.1", "test"; threshold: of an accuracy.
        size: an axis of numbers, also one that moves together with one other: of that (such as the dimension) every
            value has sizes of its own, and becomes an axis.

    Returns:
        Dataset over the other swept axes: `low`, `high` and `censoring` as from ``event_times``.

    Raises ArgumentError (a ValueError) for an unknown event or axis, or an axis that moves together with several.
    """
    found = event_times(ds, event, threshold)
    along = axis_of(ds, size)
    other = [name for name in moving(ds, along) if name != size]
    if len(other) > 1:
        raise checks.ArgumentError(
            f"size={size!r}: it moves together with {checks.listed(other)}; expected one at most."
        )
    if other:
        values = ds[other[0]].values
        own = np.unique(values)
        made = [smallest(found.isel({along: np.flatnonzero(values == one)}), size, along) for one in own]
        out = xr.concat(made, xr.IndexVariable(other[0], own))
    else:
        out = smallest(found, size, along)
    rest = [*other, *(name for name in checks.swept_axes(ds) if name != along)]
    label = f"number of {size} to {found.attrs.get('event', event)}"
    return out.transpose(*rest).assign_attrs(axes=" ".join(rest), event=EVENT, long_name=label)


def axis_of(ds: xr.Dataset, size: str) -> str:
    """Return the dimension along which a size varies."""
    known = [str(name) for name, c in ds.coords.items() if len(c.dims) == 1 and c.dtype.kind in "iuf"]
    if size not in known or ds[size].dims[0] not in checks.swept_axes(ds):
        raise checks.ArgumentError(
            f"size={size!r}: expected an axis of numbers, of: {checks.listed(known)}.{checks.nearest(size, known)}"
        )
    return str(ds[size].dims[0])


def moving(ds: xr.Dataset, along: str) -> list[str]:
    """Return the coordinates that vary along a dimension, without its own numbering."""
    return [
        str(name)
        for name, c in ds.coords.items()
        if c.dims == (along,) and name != along and len(np.unique(c.values)) > 1
    ]


def smallest(found: xr.Dataset, size: str, along: str) -> xr.Dataset:
    """Return the smallest size along a dimension at which there is an event."""
    found = found.sortby(size).transpose(..., along)
    sizes = found[size].values.astype(float)
    known, reached = found["censoring"].values != UNKNOWN, np.isfinite(found["high"].values)
    some = reached.any(-1)
    first = np.where(some, reached.argmax(-1), len(sizes))
    below = np.where(known & (np.arange(len(sizes)) < first[..., None]), sizes, 0.0)
    low, high = below.max(-1), np.where(some, np.append(sizes, np.inf)[first], np.inf)
    nothing = ~known.any(-1)
    like = found["low"].isel({along: 0}, drop=True)
    rows = {"low": np.where(nothing, np.nan, low), "high": np.where(nothing, np.nan, high)}
    codes = np.where(nothing, UNKNOWN, np.where(some, INTERVAL, RIGHT)).astype(np.int8)
    out = xr.Dataset({name: (like.dims, values) for name, values in {**rows, "censoring": codes}.items()}, like.coords)
    out["censoring"].attrs = flags()
    return out.drop_vars([name for name in out.coords if name not in out.dims])
