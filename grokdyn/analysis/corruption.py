"""The five phases of training on partly corrupted labels."""

import numpy as np
import xarray as xr

from . import checks
from .classify import UNKNOWN
from .times import last_record

CORRUPTION_PHASES = ("coexistence", "partial inversion", "full inversion", "memorization", "forgetting")
COEXISTENCE, PARTIAL, FULL, MEMORIZATION, FORGETTING = range(5)
# Train accuracy of a network that has inverted all corrupted rows is below 1 - noise plus this.
SLACK = 0.05


def corruption_phases(
    ds: xr.Dataset, noise: float | xr.DataArray | None = None, threshold: float = 0.9, part: str = "test"
) -> xr.Dataset:
    """Classify every run that trains on corrupted labels by its accuracies at its last record.

    After Doshi et al. 2023, "To grok or not to grok", appendix C, x the share of corrupted train labels:

        code  phase              test             train
        0     coexistence        >= threshold     >= threshold
        1     partial inversion  >= threshold     >= 1.05 - x, below the threshold
        2     full inversion     >= threshold     below 1.05 - x and the threshold
        3     memorization       below threshold  >= threshold
        4     forgetting         below threshold  below threshold (or confusion, where it never fitted)

    Train accuracy counts labels as trained: a network that inverts answers corrupted rows with their true label.

    Args:
        noise: x, a number or an array along axes of `ds`; default: its coordinate `label_noise`.
        threshold: of both accuracies, in (0, 1].

    Returns:
        Dataset with `phase` (int8 over the swept axes, CF attributes; -1 for a run without any record).

    Raises:
        ArgumentError: without accuracies or noise, or for a threshold that is no fraction.
    """
    threshold = checks.fraction(threshold, "threshold")
    train = last_record(checks.recorded(ds, "train_accuracy"))
    test = last_record(checks.recorded(ds, f"{part}_accuracy", "part"))
    share = noise_of(ds) if noise is None else noise
    code = xr.full_like(train, FORGETTING).where(train < threshold, MEMORIZATION)
    inverted = xr.full_like(train, FULL).where(train < 1 + SLACK - share, PARTIAL).where(train < threshold, COEXISTENCE)
    code = code.where(~(test >= threshold), inverted)
    code = code.where(train.notnull() & test.notnull(), UNKNOWN)
    flags = {
        "flag_values": list(range(5)),
        "flag_meanings": " ".join(name.replace(" ", "_") for name in CORRUPTION_PHASES),
    }
    code.attrs = {"long_name": "phase", **flags, "missing_value": UNKNOWN, "threshold": threshold}
    return xr.Dataset({"phase": code.astype(np.int8)}, attrs=ds.attrs)


def noise_of(ds: xr.Dataset) -> xr.DataArray:
    if "label_noise" not in ds.coords:
        raise checks.ArgumentError("noise=None: expected the share of corrupted labels; ds has no axis 'label_noise'.")
    return ds["label_noise"]
