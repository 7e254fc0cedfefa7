"""The last record of every run, wherever it ended."""

import numpy as np
import pytest
import xarray as xr

from grokdyn.analysis import ends, final

STEPS, TENSORS = [0, 5, 10, 20], ["W_0", "W_1"]


@pytest.fixture(params=["at once", "in pieces"])
def ds(request, monkeypatch):
    """Return four runs: to the end, ended by a rule at 5, diverged at 10, not there yet."""
    if request.param == "in pieces":
        monkeypatch.setattr(ends, "PIECE_BYTES", 1)
    nan, inf = np.nan, np.inf
    loss = np.asarray([[4, 3, 2, 1], [4, 3, nan, nan], [4, 5, inf, nan], [nan] * 4], float).reshape(2, 2, 4)
    norm = np.stack([loss, 2 * loss], axis=-1)
    norm[0, 0, :, 1] = nan  # a network without that tensor
    norm[0, 1, 1, 0] = nan
    dims = ("decay", "seed", "step")
    return xr.Dataset(
        {
            "loss": (dims, loss, {"units": "1"}),
            "norm": ((*dims, "tensor"), norm),
            "status": (dims[:2], [[0, 0], [1, -1]]),
        },
        coords={"decay": [0.0, 1.0], "seed": [3, 4], "step": STEPS, "tensor": TENSORS},
        attrs={"axes": ["decay", "seed"]},
    )


def test_every_run_gives_its_last_finite_record(ds):
    found = final(ds)
    np.testing.assert_array_equal(found.loss, [[1, 3], [5, np.nan]])
    assert found.loss.attrs == {"units": "1"}
    assert list(found) == ["loss", "norm", "status"]
    assert "step" not in found.variables
    xr.testing.assert_identical(found.status, ds.status)


def test_numbers_of_one_probe_are_of_one_step(ds):
    np.testing.assert_array_equal(final(ds).norm, [[[1, np.nan], [np.nan, 6]], [[5, 10], [np.nan, np.nan]]])


def test_one_run_and_runs_that_all_went_to_the_end_are_their_last_records(ds):
    one = ds.isel(decay=0, seed=0, drop=True).assign_attrs(axes=[])
    assert final(one).loss == 1
    whole = ds.isel(seed=[0], decay=[0])
    xr.testing.assert_equal(final(whole), whole.isel(step=-1).drop_vars("step"))


def test_mistakes_are_told(ds):
    with pytest.raises(ValueError, match=r"expected an xarray\.Dataset, got DataArray"):
        final(ds.loss)
    with pytest.raises(ValueError, match="increasing step numbers"):
        final(ds.isel(step=[1, 0]))
