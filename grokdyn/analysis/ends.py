"""What every run came to."""

import numpy as np
import xarray as xr

from . import checks

# A variable larger than this is looked at in pieces, so that it need not fit into memory.
PIECE_BYTES = 2**28


def final(ds: xr.Dataset) -> xr.Dataset:
    """Return what every run recorded last: of each variable its last record that is a finite number.

    A run that a stop rule ended, or that diverged, has nan in the records that follow, so that `ds.isel(step=-1)` is
    nan there; this is the record before. Each variable and run has a record of its own: where a probe gives several
    numbers (per tensor, per frequency), all are of the last step at which one of them is finite. A variable that a run
    never recorded is nan. Whether a run diverged is told by `status`, and how far it came by `diverged_at` and
    `stopped_at`: whoever averages over runs may want to leave some out,

        final(ds).test_accuracy.where(ds.status == 0).mean("seed")

    Returns a Dataset over the swept axes and the probes' own, without `step`; variables without `step` are kept. Where
    results are opened lazily, they are read variable by variable, and large ones in pieces.

    Raises ValueError for what is not a Dataset, or has no steps in increasing order.
    """
    axes = checks.swept_axes(checks.dataset(ds))
    recorded = [name for name, array in ds.data_vars.items() if "step" in array.dims]
    for name in recorded:
        checks.recorded(ds, name, "ds")
    found = ds.drop_vars(recorded).drop_dims("step", errors="ignore")
    return found.assign({name: last_of_runs(ds[name], axes) for name in recorded})[list(ds.data_vars)]


def last_of_runs(array: xr.DataArray, axes: tuple[str, ...]) -> xr.DataArray:
    """Return every run's last record with a finite number in it; nan where it has none."""
    long = next((axis for axis in axes if array.sizes.get(axis, 1) > 1), None)
    if array.nbytes > PIECE_BYTES and long is not None:
        size = max(1, array.sizes[long] * PIECE_BYTES // array.nbytes)
        pieces = [slice(first, first + size) for first in range(0, array.sizes[long], size)]
        found = [last_of_runs(array.isel({long: piece}), axes) for piece in pieces]
        return xr.concat(found, long, coords="minimal", compat="override", join="override")
    array = array.compute()
    number = array.copy(data=np.isfinite(array.values)) if array.dtype.kind in "fc" else array.notnull()
    there = number.any([dim for dim in array.dims if dim not in (*axes, "step")])
    last = array.isel(step=there.cumsum("step").argmax("step")).drop_vars("step")
    any_at_all = there.any("step")
    return last if any_at_all.all() else last.where(any_at_all)
