"""Forgetting counts against a loop."""

import itertools

import numpy as np
import pytest
import xarray as xr

from grokdyn.analysis import forgetting


def test_counts_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    right = (rng.random((3, 9, 5)) < 0.5).astype(float)
    right[1, :, 2] = 0  # never learned
    right[2, 4:] = np.nan  # a run that ended
    ds = xr.Dataset({"row_correct": (("seed", "step", "row"), right)}, {"step": np.arange(9) * 10})
    found = forgetting(ds)
    assert found.dims == ("seed", "row")
    for seed in range(3):
        for row in range(5):
            series = right[seed, :, row]
            falls = sum(a == 1 and b == 0 for a, b in itertools.pairwise(series))
            expected = falls if np.any(series == 1) else np.inf
            assert found.values[seed, row] == expected


def test_an_unknown_variable_is_told():
    with pytest.raises(ValueError, match="row_correct"):
        forgetting(xr.Dataset({"train_loss": ("step", [1.0])}, {"step": [0]}))
