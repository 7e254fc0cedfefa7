"""Smallest train sets: counted by hand, and the exponent of a known law."""

import numpy as np
import pytest
import xarray as xr

import grokdyn as gd
from grokdyn.analysis import sample_sizes, scaling
from grokdyn.analysis.checks import ArgumentError

SIZES = [10, 20, 40, 80]


def swept(values, **coordinates):
    """Return errors [seed, size, step] as a sweep's results."""
    values = np.asarray(values, float)
    coords = {"seed": range(len(values)), "step": range(values.shape[2]), **coordinates}
    return xr.Dataset({"test_loss": (("seed", "size", "step"), values)}, coords, {"axes": "seed size"})


def test_the_smallest_size_is_the_first_that_comes_to_it_at_any_record():
    errors = [
        [[1, 1], [1, 0.05], [1, 1], [1, 0]],  # 20, whatever larger ones do
        [[0, 1], [1, 1], [1, 1], [1, 1]],  # 10 or fewer, at a record on the way
        [[1, 1], [1, 1], [1, 1], [1, 1]],  # more than 80
        [[np.nan] * 2, [np.nan] * 2, [1, 1], [1, 0]],  # nothing is known of 10 and 20
        [[np.nan] * 2] * 4,
    ]
    order = [2, 0, 3, 1]
    ds = swept(np.asarray(errors)[:, order], train_points=("size", np.asarray(SIZES)[order]))
    found = sample_sizes(ds, "test_loss <= 0.1")
    np.testing.assert_array_equal(found.low, [10, 0, 80, 40, np.nan])
    np.testing.assert_array_equal(found.high, [20, 10, np.inf, 80, np.nan])
    np.testing.assert_array_equal(found.censoring, [0, 0, 1, 0, -1])
    assert found.attrs["axes"] == "seed"


def test_an_axis_that_moves_along_with_the_size_has_sizes_of_its_own_and_an_exponent():
    """n = d^2 e^(.2 z) is seen between neighbours of a grid; the exponent is within 4 errors of 2."""
    rng = np.random.default_rng(0)
    pairs = [(d, round(d * d * c)) for d in (4, 6, 8, 12) for c in (0.5, 0.71, 1, 1.41, 2)]
    d, n = np.array(pairs).T
    needs = {one: one**2 * np.exp(0.2 * rng.standard_normal(200)) for one in (4, 6, 8, 12)}
    errors = np.stack([[n[i] < needs[d[i]][s] for i in range(len(n))] for s in range(200)])[..., None]
    ds = swept(errors, train_points=("size", n), dimension=("size", d))
    found = sample_sizes(ds, "test_loss < 0.5")
    assert found.low.dims == ("dimension", "seed")
    for one in (4, 6, 8, 12):
        here = found.sel(dimension=one)
        assert ((here.low < needs[one]) & (needs[one] <= here.high)).all()
    law = scaling(found, "sample_size ~ dimension", resamples=20).sel(term="dimension")
    assert abs(law.exponent - 2) < 4 * law.standard_error
    assert 0.01 < law.standard_error < 0.04
    assert int(law["runs"]) == 800


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"size": "points"}, "size='points': expected an axis of numbers"),
        ({"event": "loss <= 1"}, "'loss'"),
        ({"event": "loss"}, "expected one of"),
    ],
)
def test_a_mistake_is_one_line(changes, told):
    ds = swept(np.ones((2, 4, 2)), train_points=("size", SIZES))
    with pytest.raises(ArgumentError, match=told) as caught:
        gd.analysis.sample_sizes(ds, **{"event": "test_loss <= 1", **changes})
    assert "\n" not in str(caught.value)


def test_a_size_that_moves_with_several_axes_is_refused():
    ds = swept(np.ones((2, 4, 2)), train_points=("size", SIZES), width=("size", SIZES), depth=("size", SIZES))
    with pytest.raises(ArgumentError, match="moves together with"):
        sample_sizes(ds, "test_loss <= 1")
