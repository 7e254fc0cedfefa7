"""The spike detector on series of known truth: bounded false alarms, planted spikes found where they are."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from grokdyn.analysis import spikes
from grokdyn.analysis.checks import ArgumentError

RUNS, RECORDS, WINDOW, FACTOR = 400, 300, 20, 10.0


def dataset(values, axis="seed"):
    return xr.Dataset(
        {"train_loss": ((axis, "step"), values), "status": ((axis,), np.zeros(len(values), int))},
        {"step": 10 * np.arange(values.shape[1]), axis: np.arange(len(values))},
        {"axes": axis},
    )


def naive(series, factor, window):
    """One run, record by record, as the definition reads."""
    past, level, found, asked = [], None, [], 0
    positive = [v for v in series if v > 0]
    for i, value in enumerate(series):
        if np.isnan(value):
            continue
        value = value or min(positive, default=1.0)
        last = past[-window:]
        past.append(value)
        if level is not None and value < level * factor**0.5:
            level = None
        if len(last) < window:
            continue
        asked += 1
        middle = np.exp(np.median(np.log(last)))
        if level is None and value > max(last) and value >= factor * middle:
            found.append(i)
            level = middle
    return found, asked


def test_it_is_its_definition():
    rng = np.random.default_rng(0)
    values = np.exp(rng.normal(0, 1.5, (30, 120)))
    values[rng.random(values.shape) < 0.05] = 0
    values[3, 70:] = np.nan
    found = spikes(dataset(values), factor=3.0, window=7)
    for run, series in enumerate(values):
        begun, asked = naive(series, 3.0, 7)
        assert np.flatnonzero(found.spike.isel(seed=run)).tolist() == begun
        assert int(found.spikes[run]) == len(begun)
        assert int(found.spike_records[run]) == asked
        first = 10.0 * begun[0] if begun else np.nan
        np.testing.assert_equal(float(found.first_spike[run]), first)


@pytest.mark.parametrize("spread", [0.3, 1.0, 3.0, 10.0])
@pytest.mark.parametrize("decay", [0.0, 0.05])
def test_false_alarms_are_at_most_one_in_a_window(spread, decay):
    """Exchangeable noise of any width, around a level or on a falling one: at most 1 / (window + 1) a record."""
    rng = np.random.default_rng(1)
    noise = spread * rng.standard_t(3, (RUNS, RECORDS)) - decay * np.arange(RECORDS)
    found = spikes(dataset(np.exp(noise)), factor=FACTOR, window=WINDOW)
    # Runs are independent, so the spread of their rates bounds the error.
    rates = found.spikes / found.spike_records
    assert float(rates.mean()) <= 1 / (WINDOW + 1) + 3 * float(rates.std()) / RUNS**0.5


@given(st.integers(0, 2**32 - 1), st.floats(1.5, 100), st.floats(0, 0.2))
@settings(max_examples=25, deadline=None)
def test_noise_within_the_factor_never_alarms(seed, factor, decay):
    rng = np.random.default_rng(seed)
    half = 0.499 * np.log(factor)
    logs = rng.uniform(-half, half, (20, 100)) - decay * np.arange(100)
    assert not spikes(dataset(np.exp(logs)), factor=factor).spike.any()


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 7), min_size=1, max_size=4, unique=True), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_planted_spikes_are_found_where_they_are(seed, places, length):
    rng = np.random.default_rng(seed)
    half = 0.2 * np.log(FACTOR)
    logs = rng.uniform(-half, half, (5, 300)) - 0.01 * np.arange(300)
    begins = sorted(30 + 32 * place for place in places)
    for begin in begins:
        logs[:, begin : begin + length] += 1.5 * np.log(FACTOR)
    found = spikes(dataset(np.exp(logs)), factor=FACTOR)
    expected = np.zeros(300, bool)
    expected[begins] = True
    assert (found.spike.values == expected).all()
    assert (spikes(dataset(1e-6 * np.exp(logs)), factor=FACTOR).spike == found.spike).all()


def test_a_loss_of_zero_that_comes_back_is_a_spike_and_a_loss_that_stays_zero_is_none():
    values = np.zeros((2, 60))
    values[:, :5] = 1e-3
    values[0, 40] = 1.0
    found = spikes(dataset(values))
    assert found.spikes.values.tolist() == [1, 0]
    assert not spikes(dataset(np.zeros((1, 60)))).spike.any()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"variable": "trainloss"}, "no such variable"),
        ({"factor": 1.0}, "above 1"),
        ({"window": 2}, "at least 3"),
        ({"window": True}, "at least 3"),
        ({"variable": "status"}, "no dimension 'step'"),
    ],
)
def test_mistakes_are_told_in_a_line(given, told):
    with pytest.raises(ArgumentError, match=told) as error:
        spikes(dataset(np.ones((2, 50))), **given)
    assert "\n" not in str(error.value)


def test_a_variable_with_axes_of_its_own_is_refused():
    ds = dataset(np.ones((2, 50))).assign(norms=(("seed", "step", "tensor"), np.ones((2, 50, 3))))
    with pytest.raises(ArgumentError, match="has tensor"):
        spikes(ds, "norms")
