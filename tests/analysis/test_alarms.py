"""Area under the curve against pairs, its error against repeated draws; alarms against loops over records."""

import numpy as np
import pytest

from grokdyn.analysis import alarm, auroc


def test_the_area_is_the_share_of_pairs():
    rng = np.random.default_rng(0)
    values, happens = rng.integers(0, 5, 40).astype(float), rng.random(40) < 0.4
    values[3] = np.nan
    wins, pairs = 0.0, 0
    for i in range(40):
        for j in range(40):
            if happens[i] and not happens[j] and not np.isnan(values[i] + values[j]):
                wins += (values[i] > values[j]) + (values[i] == values[j]) / 2
                pairs += 1
    assert auroc(values, happens).value == pytest.approx(wins / pairs, rel=1e-12)
    assert np.isnan(auroc([1.0, 2.0], [True, True]).value)


def test_its_error_is_the_spread_over_draws():
    """4,000 draws of 30 and 50 runs: the spread has a relative error of 1/90, errors are right in the mean."""
    rng = np.random.default_rng(1)
    happens = np.arange(80) < 30
    found = [auroc(rng.normal(size=80) + happens, happens) for _ in range(4000)]
    values, errors = np.array([f.value for f in found]), np.array([f.error for f in found])
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(values.std(), rel=4 / np.sqrt(8000) + 0.01)


def by_loops(steps, values, event, setting, false):
    best = None
    z = np.full(values.shape, np.nan)
    for k in range(len(steps)):
        column = [
            v[k] for v, e, s in zip(values, event, setting, strict=True) if s and np.isinf(e) and np.isfinite(v[k])
        ]
        z[:, k] = (values[:, k] - np.mean(column)) / np.std(column, ddof=1)
    for sign in (1, -1):
        most = [np.nanmax(sign * v) for v, e, s in zip(z, event, setting, strict=True) if s and np.isinf(e)]
        threshold = np.quantile(most, 1 - false)
        lead, wrong, known = [], [], []
        for v, e, s in zip(z, event, setting, strict=True):
            raised = next((t for t, x in zip(steps, sign * v, strict=True) if x > threshold), np.inf)
            ahead = e - raised if raised < e else 0.0
            if s and np.isfinite(e):
                known.append(ahead)
            if not s:
                (lead if np.isfinite(e) else wrong).append(ahead if np.isfinite(e) else np.isfinite(raised))
        if best is None or (np.median(known), np.mean(known)) > best[0]:
            best = (np.median(known), np.mean(known)), sign, threshold, lead, wrong
    return best[1:]


@pytest.mark.parametrize("sign", [1, -1])
def test_an_alarm_is_set_on_some_runs_and_raised_in_others(sign):
    rng = np.random.default_rng(2)
    steps, runs = np.arange(0, 200, 10), 60
    event = np.where(rng.random(runs) < 0.5, rng.integers(8, 20, runs) * 10.0, np.inf)
    trend = np.where(np.isfinite(event), 0.01, 0.002)[:, None] * steps
    values = sign * (trend + 0.3 * rng.normal(size=(runs, len(steps))))
    values[5, 12:] = np.nan
    setting = np.arange(runs) % 2 == 0
    found = alarm(steps, values, event, setting, 0.1)
    expected = by_loops(steps, values, event, setting, 0.1)
    assert found.sign == expected[0] == sign
    assert found.threshold == pytest.approx(expected[1], rel=1e-12)
    np.testing.assert_array_equal(found.leads, expected[2])
    np.testing.assert_array_equal(found.false_alarms, expected[3])
    assert np.median(found.leads) > 0


def test_what_does_not_fit_is_told():
    with pytest.raises(ValueError, match="happens: got shape"):
        auroc([1.0], [True, False])
    with pytest.raises(ValueError, match="values: got shape"):
        alarm([0, 1], np.zeros((3, 3)), [1, 2, np.inf], [True] * 3)
    with pytest.raises(ValueError, match="with the event, and at least two without"):
        alarm([0, 1, 2], np.zeros((3, 3)), [1, 2, 2], [True] * 3)
