"""The three phases of learning a circuit, from the progress measures."""

import numpy as np
import xarray as xr

from . import checks

NAMES = {
    "circuit_formation": "circuit formation begins",
    "cleanup": "cleanup begins",
    "generalisation": "cleanup ends",
}
NEEDED = ("excluded_loss", "test_loss")


def progress_phases(ds: xr.Dataset, generalised: float = 0.1) -> xr.Dataset:
    """Find where memorisation, circuit formation and cleanup begin and end (Nanda et al. 2023) in each run.

    `generalisation`: the first record whose test loss is at most `generalised` times the first one; cleanup ends.
    `cleanup`: the record after the last one before it with a test loss of at least half the largest so far.
    `circuit_formation`: the record with the least excluded loss up to there: from then on the network gets worse
    without its key frequencies. nan where a run does not generalise.

    Returns a Dataset over the swept axes with the three times, in steps.

    Raises ValueError without `excluded_loss` and `test_loss`.
    """
    excluded, test = (checks.recorded(ds, name, "ds") for name in NEEDED)
    steps = ds["step"].values.astype(np.float64)
    limit = checks.fraction(generalised, "generalised")

    def one(excluded: np.ndarray, test: np.ndarray) -> np.ndarray:
        done = np.flatnonzero(test <= limit * test[0])
        if not len(done):
            return np.full(3, np.nan)
        end = int(done[0])
        high = np.flatnonzero(test[: end + 1] >= np.nanmax(test[: end + 1]) / 2)
        clean = min(int(high[-1]) + 1, end)
        known = np.where(np.isnan(excluded), np.inf, excluded)
        return steps[[int(np.argmin(known[: clean + 1])), clean, end]]

    found = xr.apply_ufunc(
        one,
        excluded,
        test,
        input_core_dims=[["step"], ["step"]],
        output_core_dims=[["boundary"]],
        vectorize=True,
    )
    parts = {name: found.isel(boundary=i) for i, name in enumerate(NAMES)}
    out = xr.Dataset(parts, attrs=ds.attrs)
    for name, words in NAMES.items():
        out[name].attrs = {"long_name": words, "units": "steps"}
    return out
