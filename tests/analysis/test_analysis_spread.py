import numpy as np
import pytest
import scipy.stats
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from grokdyn.analysis import grokking_time, spread
from grokdyn.analysis.order_statistics import median_interval, ordered

relaxed = settings(deadline=None, max_examples=50)
TABLES = hnp.arrays(np.float64, (3, 6), elements=st.floats(-1e3, 1e3) | st.just(np.nan))


def of(values, **more):
    return xr.Dataset({"v": (("a", "seed"), values), **more})


@relaxed
@given(values=TABLES)
def test_statistics_equal_numpy_on_the_runs_present(values):
    out = spread(of(values), quantiles=(0.1, 0.75))["v"]
    for row, got in zip(values, out.transpose("a", ...), strict=True):
        row, one = row[~np.isnan(row)], lambda name, got=got: got.sel(statistic=name).item()
        assert one("runs") == len(row)
        if len(row) == 0:
            assert np.isnan(one("median"))
            continue
        expected = [np.median(row), np.mean(row), np.quantile(row, 0.1), np.quantile(row, 0.75)]
        np.testing.assert_allclose(
            [one(k) for k in ("median", "mean", "q0.1", "q0.75")], expected, rtol=1e-9, atol=1e-9
        )
        error = np.std(row, ddof=1) / np.sqrt(len(row)) if len(row) > 1 else np.nan
        np.testing.assert_allclose(one("standard_error"), error, rtol=1e-9, atol=1e-9)


@relaxed
@given(values=TABLES, order=st.permutations(range(6)))
def test_the_order_of_seeds_does_not_matter(values, order):
    a, b = spread(of(values)), spread(of(values[:, list(order)]))
    xr.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize(("missing", "median"), [(0, 30), (1, 30), (2, 30), (3, np.nan), (5, np.nan)])
def test_the_median_of_censored_times_is_unknown_once_half_are_censored(missing, median):
    times = np.array([50.0, 10, 30, 40, 20])
    times[times > 50 - 10 * missing] = np.nan
    ds = xr.Dataset({"time": ("seed", times, {"ancillary_variables": "late"}), "late": ("seed", np.isnan(times))})
    out = spread(ds)["time"]
    np.testing.assert_equal(out.sel(statistic="median").item(), median)
    assert out.sel(statistic="censored") == missing
    assert out.sel(statistic="runs") == 5
    assert np.isnan(out.sel(statistic="mean").item()) == (missing > 0)


def test_half_of_an_even_number_censored_is_unknown_too():
    ds = xr.Dataset(
        {"t": ("seed", [1, 2, np.nan, np.nan], {"ancillary_variables": "c"}), "c": ("seed", [False] * 2 + [True] * 2)}
    )
    assert np.isnan(spread(ds)["t"].sel(statistic="median"))


def test_no_steps_have_a_summary_of_no_steps():
    ds = xr.Dataset({"loss": (("seed", "step"), np.ones((3, 4)))}, {"step": range(4)})
    assert spread(ds.isel(step=slice(0, 0))).loss.sizes == {"statistic": len(spread(ds).statistic), "step": 0}


def test_a_missing_run_is_not_a_censored_one():
    ds = xr.Dataset({"t": ("seed", [1, 3, np.nan], {"ancillary_variables": "c"}), "c": ("seed", [False] * 3)})
    out = spread(ds)["t"]
    assert out.sel(statistic="runs") == 2
    assert out.sel(statistic="median") == 2


def test_flags_written_by_grokking_time_are_understood():
    accuracy = xr.DataArray([[0, 0.95, 1], [0, 0, 0.95], [0, 0, 0]], dims=("seed", "step"))
    ds = xr.Dataset({"train_accuracy": accuracy * 0 + 1, "test_accuracy": accuracy}, {"step": [0, 10, 20]})
    out = spread(grokking_time(ds))
    assert out["delay"].sel(statistic="median") == 20
    assert out["delay"].sel(statistic="q0.1") == 12
    assert np.isnan(out["delay"].sel(statistic="q0.9"))
    assert out["test_censored"].sel(statistic="mean") == pytest.approx(1 / 3)


def test_the_bootstrap_interval_agrees_with_scipys():
    data = np.random.default_rng(1).normal(size=9)
    got = spread(xr.Dataset({"v": ("seed", data)}))["v"]
    draws = np.random.default_rng(2)
    want = scipy.stats.bootstrap(
        (data,), np.median, method="percentile", n_resamples=4000, rng=draws
    ).confidence_interval
    # With nine runs the bootstrap medians are nine values: equal up to one neighbour in rank.
    ranks = np.searchsorted(
        np.sort(data), [got.sel(statistic="median_low"), want.low, got.sel(statistic="median_high"), want.high]
    )
    assert abs(ranks[0] - ranks[1]) <= 1
    assert abs(ranks[2] - ranks[3]) <= 1


def test_the_bootstrap_interval_of_three_runs_is_exact():
    # P(median of a resample of 3 is the smallest) = P(two or three of three draws) = 7/27 > 2.5 %.
    values, count = ordered(np.array([[3.0, 1, 2]]))
    np.testing.assert_array_equal(median_interval(values, count, 0.95)[:, 0], [1, 3])
    np.testing.assert_array_equal(median_interval(values, count, 1 - 2 * 8 / 27)[:, 0], [2, 2])


@relaxed
@given(values=TABLES)
def test_the_interval_brackets_the_median(values):
    out = spread(of(values))["v"].transpose("a", ...)
    low, median, high = (out.sel(statistic=k).values for k in ("median_low", "median", "median_high"))
    known = ~np.isnan(low)
    assert np.all(low[known] <= median[known] + 1e-9)
    assert np.all(median[known] <= high[known] + 1e-9)
    np.testing.assert_array_equal(known, np.sum(~np.isnan(values), 1) > 1)


def test_several_dimensions_attributes_and_other_variables():
    ds = of(np.arange(6.0).reshape(2, 3), status=(("a", "seed"), np.zeros((2, 3), int)), name=("a", ["x", "y"]))
    ds["v"].attrs = {"units": "1"}
    out = spread(ds, over=("a", "seed"))
    assert out["v"].sel(statistic="mean") == 2.5
    assert out["v"].dims == ("statistic",)
    assert out["v"].attrs == {"units": "1"}
    assert "status" not in spread(ds)
    assert list(spread(ds)["name"].values) == ["x", "y"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"over": "sede"}, "over='sede'.*mean 'seed'"),
        ({"quantiles": (10, 90)}, r"quantiles=.*\[0, 1\]"),
        ({"confidence": 95}, "confidence="),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        spread(of(np.zeros((2, 2))), **options)
