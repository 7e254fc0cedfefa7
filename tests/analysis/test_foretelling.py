"""Alarms and leads of curves that are known."""

import numpy as np
import pytest
import xarray as xr

from grokdyn.analysis import foretelling

STEPS = np.arange(0, 100, 10)


def dataset(signal, test, train=None):
    train = np.where(STEPS >= 20, 1.0, 0.5) if train is None else train
    runs = len(signal)
    values = {"signal": signal, "test_accuracy": test, "train_accuracy": np.broadcast_to(train, (runs, len(STEPS)))}
    return xr.Dataset({k: (("seed", "step"), np.asarray(v, float)) for k, v in values.items()}, {"step": STEPS})


def test_the_alarm_is_a_fall_from_the_highest_since_the_fit():
    falls = [9, 1, 4, 5, 5, 4.1, 4, 3, 2, 1]  # the fall before the fit is none; 4 at step 60 is 5 less a fifth
    test = [0, 0, 0, 0, 0, 0, 0, 0.2, 0.6, 1]
    found = foretelling(dataset([falls], [test]), "signal").isel(seed=0)
    assert (float(found.alarm_low), float(found.alarm_high)) == (50, 60)
    assert (float(found.event_low), float(found.event_high)) == (70, 80)
    assert (float(found.lead_low), float(found.lead_high)) == (10, 30)
    assert float(found.correlation) == pytest.approx(np.corrcoef(falls[2:], test[2:])[0, 1])


def test_an_alarm_may_be_a_rise():
    rises = [1, 9, 5, 4, 4, 4.7, 4.8, 5, 6, 7]
    found = foretelling(dataset([rises], [np.arange(10) / 9]), "signal", change=0.2).isel(seed=0)
    assert (float(found.alarm_low), float(found.alarm_high)) == (50, 60)


def test_what_never_came_is_a_bound_and_neither_is_nothing():
    falls, flat, one, none = 5.0 - 0.5 * np.arange(10), np.full(10, 5.0), np.arange(10) / 9, np.zeros(10)
    found = foretelling(dataset([falls, flat, flat], [none, one, none]), "signal")
    np.testing.assert_array_equal(found.lead_low, [90 - 40, -np.inf, np.nan])
    np.testing.assert_array_equal(found.lead_high, [np.inf, 50 - 90, np.nan])
    assert np.isnan(found.correlation).all()


def test_a_run_that_never_fits_raises_no_alarm_and_one_without_records_has_nothing():
    falls, one = 5.0 - 0.5 * np.arange(10), np.arange(10) / 9
    found = foretelling(dataset([falls], [one], train=np.full(10, 0.5)), "signal")
    assert np.isinf(found.alarm_high[0])
    gone = foretelling(dataset([np.full(10, np.nan)], [np.full(10, np.nan)]), "signal")
    assert np.isnan(gone.alarm_low[0])
    assert np.isnan(gone.event_high[0])


@pytest.mark.parametrize(("changes", "told"), [({"change": -20}, "change"), ({"variable": "sgnal"}, "signal")])
def test_mistakes_are_told(changes, told):
    with pytest.raises(ValueError, match=told):
        foretelling(dataset([np.ones(10)], [np.ones(10)]), **{"variable": "signal", **changes})
