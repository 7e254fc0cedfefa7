"""Fits of laws for times against scipy, finite differences and, where it is installed, lifelines."""

import numpy as np
import pytest
from scipy import optimize, stats

from grokdyn.analysis.lifetimes.curve import curve
from grokdyn.analysis.lifetimes.laws import LAWS, terms
from grokdyn.analysis.lifetimes.logrank import logrank
from grokdyn.analysis.lifetimes.means import area_to
from grokdyn.analysis.lifetimes.regression import fit
from tests.analysis.lifetimes.made import censored

SCIPY = {"lognormal": stats.norm, "weibull": stats.gumbel_l, "loglogistic": stats.logistic}


def ends(kind, n=60):
    """Return columns, and log times that are known, seen or not, or known to intervals of 1."""
    rng = np.random.default_rng(5)
    x = rng.integers(0, 3, n).astype(float)
    time, seen = censored(rng, n, scale=5)
    time = time * np.exp(0.5 * x)
    low = time if kind == "known" else np.floor(time)
    high = np.where(seen, low if kind == "known" else low + 1, np.inf)
    with np.errstate(divide="ignore"):
        return np.stack([np.ones(n), x], 1), np.log(low), np.log(high)


@pytest.mark.parametrize("law", LAWS)
def test_derivatives_are_those_of_finite_differences(law):
    low = np.array([-np.inf, 0.1, 1.0, 0.5, -2.0, 3.0, -40.0, 3.5])
    high = np.array([0.3, 0.2, np.inf, 0.5, 1.5, 3.1, -39.9, np.inf])
    mean, s, h = np.linspace(-0.5, 1, 8), -0.3, 1e-5

    def of(mean, s):
        return terms(LAWS[law], low, high, mean, s)

    found = of(mean, s)
    by_mean = [(a - b) / (2 * h) for a, b in zip(of(mean + h, s), of(mean - h, s), strict=True)]
    by_scale = [(a - b) / (2 * h) for a, b in zip(of(mean, s + h), of(mean, s - h), strict=True)]
    for one, told in ((found.m, by_mean[0]), (found.mm, by_mean[1]), (found.ms, by_mean[2])):
        np.testing.assert_allclose(one, told, rtol=1e-5, atol=1e-6)
    for one, told in ((found.s, by_scale[0]), (found.ms, by_scale[1]), (found.ss, by_scale[2])):
        np.testing.assert_allclose(one, told, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["known", "interval"])
@pytest.mark.parametrize("law", LAWS)
def test_a_fit_is_the_largest_likelihood_of_scipys_laws(law, kind):
    table, low, high = ends(kind)
    found = fit(LAWS[law], low, high, table, np.ones(len(low)))

    def loss(values):
        z = SCIPY[law](table @ values[:-1], np.exp(values[-1]))
        exact = low == high
        with np.errstate(divide="ignore"):
            inner = np.log(np.maximum(z.cdf(high) - z.cdf(low), 1e-300))
        return -np.sum(np.where(exact, z.logpdf(np.where(exact, low, 0)) - np.where(exact, low, 0), inner))

    told = optimize.minimize(loss, found.values + 0.2, method="BFGS", options={"gtol": 1e-7})
    assert found.log_likelihood == pytest.approx(-told.fun, abs=1e-7)
    np.testing.assert_allclose(found.values, told.x, atol=2e-5)


def test_the_same_numbers_as_lifelines():
    pytest.importorskip("lifelines", reason="lifelines, a second opinion, is not installed: pip install '.[survival]'")
    from lifelines import KaplanMeierFitter, LogLogisticAFTFitter, LogNormalAFTFitter, WeibullAFTFitter
    from lifelines.statistics import multivariate_logrank_test
    from lifelines.utils import restricted_mean_survival_time
    from pandas import DataFrame

    rng = np.random.default_rng(6)
    time, seen = censored(rng, 60, scale=10)
    time, group = np.round(time, 1), rng.integers(0, 3, 60)
    other, mine = KaplanMeierFitter().fit(time, seen), curve(time, np.where(seen, time, np.inf), band="log-log")
    at = mine.steps.end
    np.testing.assert_allclose(mine.at(at), other.survival_function_at_times(at).values, atol=1e-12)
    inner = other.confidence_interval_.loc[at].values
    np.testing.assert_allclose(np.stack([mine.at(at, w) for w in ("low", "high")], 1)[:-1], inner[:-1], atol=1e-9)
    assert area_to(mine, 10.0) == pytest.approx(restricted_mean_survival_time(other, 10.0), abs=1e-9)
    told = multivariate_logrank_test(time, group, seen)
    assert logrank(time, seen, group).statistic == pytest.approx(told.test_statistic, abs=1e-9)

    low = rng.uniform(0, 3, 60) + np.round(time)
    high = np.where(seen, low + rng.integers(1, 5, 60), np.inf)
    turnbull = KaplanMeierFitter().fit_interval_censoring(low + 1e-7, high, tol=1e-12).survival_function_
    mine = curve(low, high)
    at = mine.steps.end
    np.testing.assert_allclose(mine.at(at), turnbull["NPMLE_estimate_lower"].reindex(at).values, atol=2e-6)

    laws = {"lognormal": LogNormalAFTFitter, "weibull": WeibullAFTFitter, "loglogistic": LogLogisticAFTFitter}
    low, x = np.floor(time) + 0.5, group.astype(float)
    table = np.stack([np.ones(60), x], 1)
    for name, kind in laws.items():
        frame = DataFrame({"low": low, "high": np.where(seen, low + 1, np.inf), "x": x})
        told = kind().fit_interval_censoring(frame, "low", "high")
        mine = fit(LAWS[name], np.log(low), np.log(frame["high"].values), table, np.ones(60))
        assert mine.log_likelihood >= told.log_likelihood_ - 1e-9
        assert mine.log_likelihood == pytest.approx(told.log_likelihood_, abs=1e-4)
        scale = told.params_.values[2]
        theirs = np.array([*table_order(told), scale if name == "lognormal" else -scale])
        at_theirs = terms(
            LAWS[name], np.log(low), np.log(frame["high"].values), table @ theirs[:2], theirs[2]
        ).value.sum()
        assert at_theirs == pytest.approx(told.log_likelihood_, abs=1e-6)


def table_order(fitted):
    """Return lifelines' intercept and slope."""
    primary = fitted.params_.iloc[:2]
    return primary.loc[(primary.index[0][0], "Intercept")], primary.loc[(primary.index[0][0], "x")]
