"""Kendall's tau over a grid against loops over pairs, and against scipy."""

import itertools

import numpy as np
import pytest
import scipy.stats
import xarray as xr

from grokdyn.analysis import kendall

DIMS = ("rate", "decay", "seed", "width")


def grids(seed):
    rng = np.random.default_rng(seed)
    return (xr.DataArray(rng.integers(0, 6, (3, 2, 2, 4)).astype(float), dims=DIMS) for _ in range(2))


def pairs(a, b, cells, alike):
    """Return tau over pairs of cells of which a number of axes are alike, pair by pair."""
    total, count = 0.0, 0
    for one, other in itertools.permutations(cells, 2):
        if sum(x == y for x, y in zip(one, other, strict=True)) >= alike:
            total += np.sign(a[one] - a[other]) * np.sign(b[one] - b[other])
            count += 1
    return total / count


def test_tau_and_its_granulated_kind_are_their_definitions():
    measure, gap = grids(0)
    found = kendall(measure, gap, ("rate", "decay", "width"))
    for seed in range(2):
        a, b = (x.isel(seed=seed).values for x in (measure, gap))
        assert float(found.tau[seed]) == pytest.approx(pairs(a, b, list(np.ndindex(3, 2, 4)), 0))
        lines = []
        for axis, size in enumerate(a.shape):
            cells = [c for c in np.ndindex(a.shape) if c[axis] == 0]
            every = [[(*c[:axis], k, *c[axis + 1 :]) for k in range(size)] for c in cells]
            lines.append(np.mean([pairs(a, b, line, 0) for line in every]))
        np.testing.assert_allclose(found.by_axis.isel(seed=seed), lines, rtol=1e-12)
        assert float(found.granulated[seed]) == pytest.approx(np.mean(lines))


def test_without_ties_it_is_that_of_scipy():
    rng = np.random.default_rng(1)
    a, b = (xr.DataArray(rng.normal(size=30), dims="run") for _ in range(2))
    assert float(kendall(a, b, ["run"]).tau) == pytest.approx(scipy.stats.kendalltau(a, b).statistic)


def test_a_measure_that_follows_one_axis_orders_the_grid_but_not_by_the_others():
    rate = xr.DataArray([1.0, 2.0, 3.0], dims="rate")
    gap = rate + 0.01 * xr.DataArray([1.0, -1.0], dims="decay")
    found = kendall(rate.broadcast_like(gap), gap, ["rate", "decay"])
    assert float(found.tau) == pytest.approx(12 / 15)
    assert found.by_axis.values.tolist() == [1, 0]
    assert float(found.granulated) == 0.5


def test_what_is_infinite_is_above_and_what_is_missing_is_told():
    a = xr.DataArray([1.0, np.inf, np.inf], dims="run")
    b = xr.DataArray([0.0, 1.0, 2.0], dims="run")
    assert float(kendall(a, b, ["run"]).tau) == pytest.approx(2 / 3)
    assert np.isnan(kendall(a.where(a < 2), b, ["run"]).tau)


@pytest.mark.parametrize(
    ("axes", "told"), [(["depth"], "no such dimension"), (["one"], "two values"), ([], "axes: got none")]
)
def test_axes_that_do_not_fit_are_told(axes, told):
    a = xr.DataArray(np.zeros((1, 3)), dims=("one", "run"))
    with pytest.raises(ValueError, match=told):
        kendall(a, a, axes)
