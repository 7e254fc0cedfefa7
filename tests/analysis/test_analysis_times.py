import itertools
import operator

import numpy as np
import pytest
import xarray as xr

from grokdyn.analysis import first_step, grokking_time

OPERATORS = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}
STEPS = np.array([0, 10, 20, 50, 100])


def curves(train, test, **coords):
    """Build a Dataset of accuracies over (axes..., step) from nested lists."""
    dims = (*coords, "step")
    data = {"train_accuracy": (dims, np.asarray(train, float)), "test_accuracy": (dims, np.asarray(test, float))}
    return xr.Dataset(data, {**coords, "step": STEPS})


def test_first_step_of_known_curves():
    ds = curves([[0, 0.5, 0.9, 1, 1], [0, 0, 0, 0, 0.2]], [[0, 0, 0, 0.95, 0.3], [np.nan] * 5], seed=[0, 1])
    train, test = first_step(ds, "train_accuracy", 0.9), first_step(ds, "test_accuracy", 0.9)
    np.testing.assert_array_equal(train["first_step"], [20, np.nan])
    np.testing.assert_array_equal(train["censored"], [False, True])
    np.testing.assert_array_equal(test["first_step"], [50, np.nan])
    np.testing.assert_array_equal(test["censored"], [False, False])
    assert train["first_step"].dims == ("seed",)
    assert "step" not in train.coords


def test_a_run_that_stopped_at_once_is_censored_not_unknown():
    ds = curves([[np.nan] * 5] * 2, [[np.nan] * 5] * 2, seed=[0, 1]).assign(status=("seed", [1, 0]))
    np.testing.assert_array_equal(first_step(ds, "train_accuracy", 0.9)["censored"], [True, False])


def test_a_single_run_gives_numbers():
    times = grokking_time(curves([0, 0.9, 1, 1, 1], [0, 0, 0, 0, 0.9]))
    assert (times["step_train"].item(), times["step_test"].item(), times["delay"].item()) == (10, 100, 90)
    assert not times["test_censored"].item()


def test_delay_is_nan_where_either_time_is_missing_and_negative_where_test_came_first():
    ds = curves(
        [[0, 1, 1, 1, 1], [0, 0, 0, 0, 0], [0, 0, 0, 1, 1]], [[0] * 5, [0, 1, 1, 1, 1], [0, 0, 1, 1, 1]], run=[*"abc"]
    )
    times = grokking_time(ds)
    np.testing.assert_array_equal(times["delay"], [np.nan, np.nan, -30])
    np.testing.assert_array_equal(times["train_censored"], [False, True, False])
    np.testing.assert_array_equal(times["test_censored"], [True, False, False])


# Every order of these values, among which a threshold lies, or is one of them; nan is no record.
LEVELS = (-2.0, -0.0, 0.5, 2.0, np.nan)
VALUES = np.asarray(list(itertools.product(LEVELS, repeat=5))).reshape(25, 125, 5)
THRESHOLDS = (-2.0, -1.0, 0.0, 5e-324, 0.5, 2.0)


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("direction", [">=", ">", "<=", "<"])
def test_first_step_equals_a_loop_over_records(direction, threshold):
    ds = xr.Dataset({"loss": (("a", "seed", "step"), VALUES)}, {"step": STEPS})
    found, expected, censored = first_step(ds, "loss", threshold, direction), [], []
    for values in VALUES.reshape(-1, 5).tolist():
        hits = [t for t, v in zip(STEPS, values, strict=True) if OPERATORS[direction](v, threshold)]
        expected.append(hits[0] if hits else np.nan)
        censored.append(not hits and any(v == v for v in values))
    np.testing.assert_array_equal(found["first_step"].values.ravel(), expected)
    np.testing.assert_array_equal(found["censored"].values.ravel(), censored)


def test_permuting_runs_permutes_results():
    ds = xr.Dataset({"v": (("a", "seed", "step"), VALUES)}, {"step": STEPS, "seed": range(125)})
    order = np.random.default_rng(0).permutation(125)
    xr.testing.assert_identical(first_step(ds.isel(seed=order), "v", 0.5), first_step(ds, "v", 0.5).isel(seed=order))


def test_a_higher_threshold_is_never_reached_sooner():
    ds = xr.Dataset({"v": (("a", "seed", "step"), VALUES)}, {"step": STEPS})
    times = [first_step(ds, "v", threshold)["first_step"].fillna(np.inf) for threshold in THRESHOLDS]
    assert all(bool((early <= late).all()) for early, late in itertools.pairwise(times))


def test_axes_may_come_in_any_order():
    ds = curves(np.random.default_rng(0).random((2, 3, 5)), np.zeros((2, 3, 5)), a=[1, 2], seed=[0, 1, 2])
    ds["status"] = (("seed", "a"), np.zeros((3, 2), int))
    moved = ds.transpose("step", "seed", "a")
    xr.testing.assert_equal(
        first_step(ds, "train_accuracy", 0.5), first_step(moved, "train_accuracy", 0.5).transpose("a", "seed")
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda ds: first_step(ds, "test_acuracy", 0.9), "variable='test_acuracy'.*mean 'test_accuracy'"),
        (lambda ds: first_step(ds, "status", 0.9), "variable='status': has no dimension 'step'"),
        (lambda ds: first_step(ds, "test_accuracy", 0.9, "=>"), "direction='=>'.*>=, >, <=, <"),
        (lambda ds: first_step(ds, "test_accuracy", "0.9"), "threshold='0.9'"),
        (lambda ds: first_step(ds["status"], "test_accuracy", 0.9), "ds: expected an xarray.Dataset"),
        (lambda ds: first_step(ds.isel(step=[1, 0]), "test_accuracy", 0.9), "increasing step"),
        (lambda ds: first_step(ds.isel(step=[]), "test_accuracy", 0.9), "at least one record"),
        (lambda ds: grokking_time(ds, 90), r"threshold=90.*0\.9 not 90"),
        (lambda ds: grokking_time(ds.drop_vars("train_accuracy")), "no such variable"),
    ],
)
def test_mistakes_are_named(call, message):
    ds = curves(np.zeros((2, 5)), np.zeros((2, 5)), seed=[0, 1]).assign(status=("seed", [0, 0]))
    with pytest.raises(ValueError, match=message):
        call(ds)
