"""The phases of corrupted labels against their table of thresholds."""

import numpy as np
import pytest
import xarray as xr

from grokdyn.analysis import corruption_phases
from grokdyn.analysis.checks import ArgumentError

# (noise, train, test) -> phase
CASES = {
    (0.3, 0.95, 0.95): "coexistence",
    (0.3, 0.80, 0.95): "partial_inversion",
    (0.3, 0.75, 0.95): "partial_inversion",
    (0.3, 0.70, 0.95): "full_inversion",
    (0.1, 0.92, 0.95): "coexistence",
    (0.1, 0.89, 0.95): "full_inversion",
    (0.3, 0.95, 0.50): "memorization",
    (0.3, 0.30, 0.50): "forgetting",
}


def dataset(noise, train, test):
    records = {"train_accuracy": [0.1, train, np.nan], "test_accuracy": [0.9, test, np.nan]}
    values = {name: (("label_noise", "step"), [row]) for name, row in records.items()}
    return xr.Dataset(values, coords={"label_noise": [noise], "step": [0, 50, 100]}, attrs={"axes": "label_noise"})


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_run_is_classified_by_its_last_record(case):
    phase = corruption_phases(dataset(*case)).phase
    assert phase.attrs["flag_meanings"].split()[int(phase[0])] == CASES[case]


def test_what_is_missing_is_told():
    ds = dataset(0.3, 0.9, 0.9)
    assert int(corruption_phases(ds.isel(step=[2])).phase[0]) == -1
    assert int(corruption_phases(ds.rename(label_noise="x"), noise=0.3).phase[0]) == 0
    with pytest.raises(ArgumentError, match="label_noise"):
        corruption_phases(ds.rename(label_noise="x"))
    with pytest.raises(ArgumentError, match="90"):
        corruption_phases(ds, threshold=90)
