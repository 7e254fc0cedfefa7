"""Survival and scaling of Datasets: intervals, kinds of censoring, groups, mistakes."""

import numpy as np
import pytest

from grokdyn import analysis, plot
from grokdyn.analysis.checks import ArgumentError
from tests.analysis.lifetimes.made import runs

DECAY = np.array([0.1, 0.3, 1.0])


def sweep(seeds=32, noise=0.4, **more):
    rng = np.random.default_rng(0)
    delay = np.exp(rng.normal(np.log(300 / DECAY)[:, None], noise, (3, seeds)))
    train = rng.uniform(20, 80, (3, seeds))
    return runs(train + delay, train, weight_decay=DECAY, seed=np.arange(seeds), **more), delay


def test_times_have_the_records_around_them_and_say_why_no_more_is_known():
    status, stopped = np.array([0, 0, 0, 1]), np.array([-1, -1, 500, -1])
    ds = runs(
        [120, 1e9, 1e9, 1e9], [30, 60, 70, 1e9], steps=range(0, 1001, 50), status=status, stopped=stopped, seed=range(4)
    )
    ds = ds.where((ds.seed != 3) | (ds.step <= 200))
    ds["status"], ds["stopped_at"] = ("seed", status), ("seed", stopped)
    found = analysis.grokking_time(ds)
    np.testing.assert_array_equal(found.test_low, [100, 1000, 500, 200])
    np.testing.assert_array_equal(found.test_high, [150, np.inf, np.inf, np.inf])
    np.testing.assert_array_equal(found.train_high, [50, 100, 100, np.inf])
    np.testing.assert_array_equal(found.delay_low, [50, 900, 400, -np.inf])
    np.testing.assert_array_equal(found.delay_high, [150, np.inf, np.inf, np.inf])
    kinds = [analysis.CENSORING[code] for code in found.delay_censoring.values]
    assert kinds == ["interval", "right", "rule", "diverged"]
    one = analysis.first_step(ds, "test_accuracy", 0.9)
    np.testing.assert_array_equal(one.low, found.test_low)
    assert one.first_step.values[0] == one.high.values[0] == 150


def test_a_run_without_records_is_of_no_kind_and_one_that_begins_there_has_come_at_once():
    ds = runs([0, 0], seed=[0, 1])
    ds = ds.where(ds.seed == 0)
    found = analysis.first_step(ds, "test_accuracy", 0.9)
    np.testing.assert_array_equal(found.censoring, [0, -1])
    np.testing.assert_array_equal(found.low, [0, np.nan])
    np.testing.assert_array_equal(found.high, [0, np.nan])


def test_survival_curves_by_group():
    ds, delay = sweep()
    found = analysis.survival(ds, "delay", by="weight_decay")
    assert np.all(found.median_low <= found.median_time)
    truth = 300 / DECAY
    assert np.all((found.median_low < truth) & (truth < found.median_high))
    assert found.attrs["logrank_p"] < 1e-20
    assert int(found.runs_right.sel(weight_decay=0.1)) == np.sum(delay[0] > 2950)
    early = found.isel(weight_decay=2)
    mean = (early.restricted_mean_low.item(), early.restricted_mean_high.item())
    assert mean[0] < delay[2].mean() < mean[1]
    assert np.all(found.survival_low <= found.survival)
    assert np.all(found.survival <= found.survival_high)


def test_runs_that_diverged_never_come_or_are_only_not_seen():
    ds, _ = sweep()
    ds["status"] = (ds.status.dims, np.where(np.arange(32) < 8, 1, 0) * np.ones((3, 1), int))
    ds["test_accuracy"] = ds.test_accuracy.where((ds.seed >= 8) | (ds.step <= 100))
    never = analysis.survival(ds, "test", by="weight_decay").isel(weight_decay=2)
    alone = analysis.survival(ds, "test", by="weight_decay", diverged="censored").isel(weight_decay=2)
    assert never.survival.values[-1] == pytest.approx(8 / 32)
    assert alone.survival.values[-1] == pytest.approx(0, abs=1e-12)
    assert never.diverged_share.values[-1] == pytest.approx(8 / 32)
    assert int(never.runs_diverged) == int(alone.runs_diverged) == 8


def test_exponents_with_their_intervals():
    ds, _ = sweep(seeds=48)
    found = analysis.scaling(ds, "delay ~ weight_decay", resamples=50)
    exponent = found.sel(term="weight_decay")
    assert exponent.exponent_low < -1 < exponent.exponent_high
    assert exponent.bootstrap_low < exponent.exponent < exponent.bootstrap_high
    assert found.scale == pytest.approx(0.4, abs=0.06)
    assert found.explained > 0.7
    assert found.lack_of_fit_p > 0.01
    np.testing.assert_allclose(found.predicted.isel(seed=0), 300 / DECAY, rtol=0.2)
    curved = ds.assign_coords(weight_decay=[0.1, 0.2, 1.0])
    assert analysis.scaling(curved, "delay ~ weight_decay", resamples=2).lack_of_fit_p < 1e-4
    levels = analysis.scaling(ds, "test ~ C(weight_decay)", resamples=2)
    assert levels.term.values.tolist() == ["intercept", "weight_decay[0.3]", "weight_decay[1.0]"]


def test_runs_without_a_logarithm_are_counted():
    ds = runs(
        np.array([[40, 200, 300, 400, 500, 600.0]] * 2),
        np.array([[60, 50, 50, 50, 50, 1e9]] * 2),
        decay=[1.0, 2.0],
        seed=range(6),
    )
    ds = ds.assign(train_accuracy=ds.train_accuracy.where(ds.seed != 0, (ds.step >= 150) * 1.0))
    assert analysis.scaling(ds, "delay ~ decay", resamples=2).left_out == 4


MISTAKES = {
    "event='loss'": lambda ds: analysis.survival(ds, "loss"),
    "event='norm': no such variable": lambda ds: analysis.survival(ds, "norm <= 3"),
    "no run reached it within 3000 steps": lambda ds: analysis.survival(ds, "test_accuracy >= 1.5"),
    "there is one group only": lambda ds: analysis.survival(ds.isel(weight_decay=[0]), by="weight_decay"),
    "by='weight_dec': no such axis. Did you mean 'weight_decay'?": lambda ds: analysis.survival(ds, by="weight_dec"),
    "expected an event, ~ and what it depends on": lambda ds: analysis.scaling(ds, "delay"),
    "'momentum' is no axis and no variable": lambda ds: analysis.scaling(ds, "delay ~ momentum"),
    "has one value only": lambda ds: analysis.scaling(ds.isel(weight_decay=[1]), "delay ~ weight_decay"),
    "needs values above 0": lambda ds: analysis.scaling(
        ds.assign_coords(weight_decay=[0.0, 0.1, 1.0]), "delay ~ weight_decay"
    ),
    "cannot be told apart": lambda ds: analysis.scaling(
        ds.assign(twice=ds.weight_decay**2), "delay ~ weight_decay + twice"
    ),
    "the axis 'scale' has the name of a result of the law": lambda ds: analysis.scaling(
        ds.rename(weight_decay="scale"), "delay ~ scale", resamples=2
    ),
    "so no time is known": lambda ds: analysis.scaling(ds.isel(step=[0, 1]), "delay ~ weight_decay"),
    "has no kaplan_meier": plot.survival,
}


@pytest.mark.parametrize("told", MISTAKES)
def test_a_mistake_is_told_in_a_line(told):
    with pytest.raises(ArgumentError) as error:
        MISTAKES[told](sweep(seeds=4)[0])
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_the_figure_shows_stairs_bands_and_numbers_at_risk():
    found = analysis.survival(sweep()[0], "test", by="weight_decay")
    figure = plot.survival(found)
    ax, below = figure.axes
    assert len(ax.collections) == len(ax.lines) - 1 == 3  # one mark: only the least decay has runs not there yet
    words = [text.get_text() for text in below.texts]
    assert words[0] == "runs at risk"
    assert words.count("32") >= 3
    with pytest.raises(ArgumentError, match="at most 7 fit"):
        plot.survival(found.isel(weight_decay=[0, 1, 2] * 3))
