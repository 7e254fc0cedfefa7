"""How much is known of the time of an event in a run."""

from __future__ import annotations

from typing import Any

import xarray as xr

# interval: it lies between two records. right: the records end before it. rule: a stop rule ended the run before it.
# diverged: the run became non-finite before it, a competing event. unfitted: for a delay, the run never fitted.
CENSORING = ("interval", "right", "rule", "diverged", "unfitted")
INTERVAL, RIGHT, RULE, DIVERGED, UNFITTED = range(len(CENSORING))
UNKNOWN = -1


def flags() -> dict[str, Any]:
    """Return the CF attributes of a variable of these codes."""
    return {
        "flag_values": list(range(len(CENSORING))),
        "flag_meanings": " ".join(CENSORING),
        "missing_value": UNKNOWN,
    }


def told_end(ds: xr.Dataset, array: xr.DataArray) -> xr.DataArray:
    """Return the code of every run as one that has not seen the event, over the dimensions of a recorded variable."""
    code = xr.zeros_like(array.isel(step=0, drop=True), dtype=int) + RIGHT
    code.attrs = {}
    if "stopped_at" in ds.data_vars:
        code = code.where(ds["stopped_at"] < 0, RULE)
    if "status" in ds.data_vars:
        code = code.where(ds["status"] <= 0, DIVERGED)
    return code.transpose(*[d for d in array.dims if d != "step"], ...)
