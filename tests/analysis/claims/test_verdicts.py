"""Verdicts: regions, levels, Holm, seeds that would decide, and that their JSON can be judged again."""

import json

import numpy as np
import pytest

from grokdyn.analysis.checks import ArgumentError
from grokdyn.analysis.claims import (
    FAILS,
    HOLDS,
    OPEN,
    Claim,
    Contrast,
    MaximalError,
    Median,
    Order,
    Probability,
    RestrictedDifference,
    Student,
    again,
    as_json,
    as_markdown,
    judge,
    mean,
    most,
)
from grokdyn.analysis.claims.verdicts import holm, least_alpha
from tests.analysis.claims.test_estimands import acceptability

MADE = {"experiment": "toy", "scale": "cpu", "date": "2026-01-01", "device": "cpu", "seconds": 1.5, "commit": "abc"}


def of(value, error, agrees=(0.0, np.inf), bears=None, **more):
    return Claim("t", "s", "e", Student(value, error, 1000, 32), agrees, bears, **more)


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        (of(1, 0.1), HOLDS),
        (of(-1, 0.1), FAILS),
        (of(0.1, 0.1), OPEN),
        (of(-0.5, 0.1, bears=(-1, np.inf)), OPEN),  # neither agrees nor contradicts
        (of(-1.5, 0.1, bears=(-1, np.inf)), FAILS),
        (of(0.5, 0.1, (0, 1)), HOLDS),
        (of(np.nan, np.nan), OPEN),
        (Claim("t", "s", "e", None, (0, 1)), OPEN),
        (most("t", "s", "e", np.ones(32)), HOLDS),
        (most("t", "s", "e", np.ones(8)), OPEN),
        (most("t", "s", "e", np.zeros(32)), FAILS),
        (most("t", "s", "e", np.arange(32) < 20), OPEN),
    ],
)
def test_a_verdict_is_by_where_the_interval_lies(claim, verdict):
    (found,) = judge([claim])
    assert found.verdict == verdict
    assert judge([claim], decides=False)[0].verdict == OPEN


def test_p_is_the_least_share_of_errors_at_which_the_interval_decides():
    p = least_alpha(of(2.0, 1.0))
    assert p == pytest.approx(0.0458, abs=1e-4)  # two-sided, 1000 degrees of freedom
    assert least_alpha(of(0.1, 1.0)) == 1


@pytest.mark.parametrize(("hits", "edge"), [(30, 0.8), (27, 0.6), (32, 0.8), (23, 0.5)])
def test_the_p_of_a_share_is_the_most_that_any_share_outside_of_the_region_is_acceptable(hits, edge):
    """It jumps where another count becomes as unlikely as the one seen: the most need not be at the edge."""
    p = np.linspace(0.01, edge - 1e-9, 4000)
    most_acceptable = acceptability(p, 32)[:, hits].max()
    claim = Claim("t", "s", "e", Probability(np.arange(32) < hits), (edge, 1))
    assert least_alpha(claim) == pytest.approx(most_acceptable, rel=2e-3)


def test_claims_of_a_folder_are_judged_together():
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005]), 4), [0.03, 0.06, 0.06, 0.02])
    lone = judge([of(2.2, 1.0)])[0]
    among = judge([of(2.2, 1.0), of(0.1, 1.0)])
    assert (lone.verdict, among[0].verdict) == (HOLDS, OPEN)
    unmeasured = judge([of(2.2, 1.0), Claim("t", "s", "e", None, (0, 1))])
    assert unmeasured[0].verdict == HOLDS  # what is not measured is no look


@pytest.mark.parametrize(
    ("value", "bears", "between"),
    [(0.05, (0.0, np.inf), True), (0.09, (0.0, np.inf), False), (0.01, (0.0, np.inf), False), (0.05, None, False)],
)
def test_an_interval_between_what_agrees_and_what_contradicts_is_told(value, bears, between):
    claim = of(value, 0.01, agrees=(0.1, np.inf), bears=bears)
    told = as_markdown(judge([claim]), MADE)
    assert ("lies between what agrees and what contradicts" in " ".join(told.split())) == between


def test_the_seeds_that_would_decide():
    (found,) = judge([of(1.0, 1.0)])
    assert found.needed == pytest.approx(32 * 1.962**2, rel=0.05)
    (wide,) = judge([of(1.0, 1e200)])
    assert wide.needed is None
    (share,) = judge([most("t", "s", "e", np.ones(8))])
    below = np.linspace(0.6, 0.8 - 1e-9, 200)
    assert share.needed == next(n for n in range(9, 99) if acceptability(below, n)[:, n].max() <= 0.05)
    assert judge([most("t", "s", "e", np.arange(32) < 22)])[0].needed is None  # neither agrees nor contradicts
    (between,) = judge([of(-0.5, 0.1, bears=(-1, np.inf))])
    assert between.needed is None


def several():
    rng = np.random.default_rng(0)
    low = np.floor(rng.exponential(300, 32) / 20) * 20
    one, other = (low, np.where(low < 600, low + 20, np.inf)), (1.5 * low, 1.5 * low + 20)
    return [
        Claim("a median", "s", "e", Median(one), (100, 400), published=180.0, unit="steps"),
        Claim("a ratio", "s", "e", Contrast(other, one), (1.2, np.inf), (1, np.inf), disputed="somebody else"),
        Claim("a difference", "s", "e", Contrast(other, one, "difference", paired=False), (0, np.inf)),
        Claim("an order", "s", "e", Order((one, other, (9000 + low, 9001 + low))), (0, np.inf)),
        Claim("a mean", "s", "e", mean(low), (0, 1000)),
        Claim("an error", "s", "e", MaximalError(rng.normal(0, 1, (32, 5)), 0.0), (0, 0.5)),
        Claim("nothing", "s", "e", None, (0, 1)),
        Claim("a restricted mean", "s", "e", RestrictedDifference(other, one, 600.0), (0, np.inf)),
        Claim("a share", "s", "e", Probability([1, 0, np.nan, 1]), (0.5, 1)),
    ]


@pytest.fixture(scope="module")
def found():
    return judge(several())


def test_json_holds_every_number_and_is_judged_again(found):
    text = as_json(found, MADE)
    told = json.loads(text)
    assert told["made"] == MADE
    assert told["claims"][0]["estimand"]["times"][0][:2] == several()[0].estimand.times[0][:2].tolist()
    repeated, made = again(text)
    assert made == MADE
    assert as_json(repeated, made) == text
    with pytest.raises(ArgumentError, match="expected JSON of schema 2"):
        again("[]")


def test_the_text_reads_well_in_a_terminal(found):
    text = as_markdown(found, MADE)
    assert max(map(len, text.splitlines())) <= 110
    assert "Of our runs" in text
    assert "Disputed: somebody else." in text
    assert "Not measured at this scale." in text
    assert "agrees: at least 1.2, does not contradict: at least 1" in " ".join(text.split())
