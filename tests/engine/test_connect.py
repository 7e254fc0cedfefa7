"""Networks between two runs against runs that begin at their weights, interpolated by hand."""

import numpy as np
import pytest
import xarray as xr

import grokdyn as gd
from grokdyn.analysis import barrier
from tests import cases

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("connect") / "runs"
    experiment = cases.tiny(
        model=gd.MLP(hidden=(5,)), steps=6, snapshots=(3, 6), record=gd.At((0, 6)), dtype="float64", batch_size=None
    )
    gd.run(gd.Sweep(experiment, {"optimizer.weight_decay": [0.0, 0.5], "seed": [3, 4, 5]}), out=path, progress=False)
    return path, experiment


def test_what_lies_between_is_what_runs_that_begin_there_see(store):
    path, experiment = store
    found = gd.connect(path, points=5, step=3)
    assert found.train_loss.dims == ("weight_decay", "seed", "share")
    one, other = (gd.params(path, {"weight_decay": 0.5, "seed": seed}, 3) for seed in (5, 3))
    losses = []
    for s in SHARES:
        begin = gd.Start(params={name: (1 - s) * one[name] + s * other[name] for name in one})
        here = gd.run(
            experiment.replace(seed=5, steps=1, snapshots=(), record=gd.At((0,))), start=begin, progress=False
        )
        losses.append([float(here[name][0]) for name in ("train_loss", "test_loss", "test_accuracy")])
    pair = found.sel(weight_decay=0.5, seed=5)
    for name, values in zip(("train_loss", "test_loss", "test_accuracy"), np.transpose(losses), strict=True):
        np.testing.assert_allclose(pair[name], values, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.share, SHARES)
    rise = [
        v - (1 - s) * pair.train_loss[0] - s * pair.train_loss[-1] for s, v in zip(SHARES, pair.train_loss, strict=True)
    ]
    assert float(barrier(found).sel(weight_decay=0.5, seed=5)) == pytest.approx(float(max(rise)))


def test_along_another_axis_and_what_does_not_fit(store):
    path, _ = store
    found = gd.connect(path, along="weight_decay", points=2)
    for seed in (3, 4, 5):
        own, other = (found.train_loss.sel(weight_decay=w, seed=seed) for w in (0.0, 0.5))
        # Both runs have the same train rows: the way there ends where the way back begins.
        np.testing.assert_allclose(own.values, other.values[::-1], rtol=1e-9)
    with pytest.raises(gd.SpecError, match="an axis of the sweep"):
        gd.connect(path, along="depth")
    with pytest.raises(gd.SpecError, match="one of the snapshots: 3, 6"):
        gd.connect(path, step=4)
    with pytest.raises(gd.SpecError, match="at least 2"):
        gd.connect(path, points=1)
    with pytest.raises(ValueError, match="as of gd"):
        barrier(xr.Dataset({"train_loss": ("step", [1.0])}))


def test_runs_of_other_shapes_are_told(tmp_path):
    experiment = cases.tiny(model=gd.MLP(hidden=(5,)), steps=1, snapshots=(1,))
    gd.run(gd.Sweep(experiment, {"model.hidden": [(4,), (3,)]}), out=tmp_path / "runs", progress=False)
    with pytest.raises(gd.SpecError, match="runs of other shapes of W_0"):
        gd.connect(tmp_path / "runs", along="hidden")


def test_a_barrier_is_what_rises_above_the_line():
    values = xr.DataArray([[1.0, 3.0, 2.0], [1.0, 1.0, 2.0], [1.0, np.nan, 2.0]], dims=("seed", "share"))
    found = barrier(xr.Dataset({"train_loss": values}, {"share": [0.0, 0.5, 1.0]}))
    np.testing.assert_allclose(found, [1.5, 0.0, np.nan])
