"""How a time depends on the numbers of a sweep: exponents, with intervals."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.special import chdtrc, stdtrit

from .. import checks
from ..censoring import CENSORING, DIVERGED, UNFITTED, UNKNOWN
from .events import DIVERGED_AS, event_times, reached_by_any
from .formula import columns, split
from .laws import LAWS, Law
from .regression import NEAR, Fit, fit, resampled


def scaling(
    ds: xr.Dataset,
    formula: str,
    *,
    threshold: float = 0.9,
    part: str = "test",
    law: str = "lognormal",
    confidence: float = 0.95,
    resamples: int = 200,
    over: str = "seed",
    diverged: str = "censored",
) -> xr.Dataset:
    """Fit T = e^a prod_k x_k^{b_k} e^{scale z}, by the likelihood of times known to an interval or only to be later.

    An accelerated-failure-time model; the law of z is "lognormal", "weibull" or "loglogistic" (see ``LAWS``).

    Args:
        ds: results; or the sizes that ``sample_sizes`` found, whose formula is "sample_size ~ dimension".
        formula: "delay ~ learning_rate + weight_decay + C(optimizer)": an event as for ``event_times``, then axes or
            variables with one value a run. A name gives an exponent, C(name) a factor for each value but the first, a:b
            the product of two logarithms.
        resamples: how many times the values of `over` are drawn anew, all runs of one together; all runs where there is
            no such axis.
        diverged: "censored": a run that diverged was not there by then; "never": it is not by the end either.

    Returns a Dataset over `term` ("intercept" is a): `exponent`, `standard_error` (of the observed information, times
    runs / (runs - terms)), `exponent_low`, `exponent_high` (Student's), `bootstrap_low`, `bootstrap_high` (percentiles
    over `over`), `resample` [resample, term]; `scale`, `log_likelihood`, `aic`; `explained` = 1 - scale^2 / that
    without terms; `lack_of_fit`, twice the log-likelihood that a mean of its own for every cell would gain, with its
    degrees of freedom and p (chi-squared: small where the law is not the form of the data); and for every run its times
    and `predicted`, the median of the law. Runs that never fitted, and those whose time is not above 0, have no
    logarithm: `left_out`.

    Raises ArgumentError (a ValueError) in a line for an unknown event, axis or variable, one that has a single value or
    values not above 0, terms that cannot be told apart, or an event that no run came to.
    """
    checks.choice(law, LAWS, "law")
    checks.choice(diverged, DIVERGED_AS, "diverged")
    (confidence,) = checks.probabilities(confidence, "confidence")
    event, names = split(formula)
    found = ds if ds.attrs.get("event") == event else event_times(ds, event, threshold, part)
    reached_by_any(found, f"formula={formula!r}")
    told, table = columns(ds, names, found["low"])
    low, high, kept = logarithms(found, float(ds["step"].values[-1]) if diverged == "never" and "step" in ds else None)
    if kept.sum() <= len(told) + 1 or np.linalg.matrix_rank(table[kept]) < len(told):
        raise checks.ArgumentError(f"formula={formula!r}: only {kept.sum()} runs have such a time; too few for it.")
    low, high, used = low[kept], high[kept], table[kept]
    best = fit(LAWS[law], low, high, used, np.ones(len(low)))
    out = exponents(best, told, len(low), confidence)
    cluster = clusters(found["low"], over)[kept]
    draws = resampled(LAWS[law], low, high, used, cluster, best, resamples)
    out = out.merge(drawn(draws, told, confidence)).merge(goodness(LAWS[law], low, high, used, best))
    taken = [str(dim) for dim in found["low"].dims if dim in out.variables or dim in out.dims]
    if taken:
        name = taken[0]
        raise checks.ArgumentError(f"ds: the axis {name!r} has the name of a result of the law; ds.rename({name}=...).")
    predicted = np.exp(table @ best.values[:-1] + np.exp(best.values[-1]) * MEDIANS[law])
    out["predicted"] = found["low"].copy(data=predicted.reshape(found["low"].shape))
    out = out.assign({name: found[name] for name in ("low", "high", "censoring")})
    counts = {f"runs_{kind}": int((found["censoring"] == i).sum()) for i, kind in enumerate(CENSORING)}
    left_out = int((found["censoring"] != UNKNOWN).sum() - kept.sum())
    out = out.assign({"runs": int(kept.sum()), "left_out": left_out, **counts})
    return out.assign_attrs(event=found.attrs["event"], formula=formula, law=law, confidence=confidence)


# The median of z: of log T less the mean, over the scale.
MEDIANS = {"lognormal": 0.0, "weibull": float(np.log(np.log(2))), "loglogistic": 0.0}


def logarithms(found: xr.Dataset, end: float | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the ends of log T and which runs have one."""
    low, high, code = (found[name].values.ravel() for name in ("low", "high", "censoring"))
    kept = (code != UNKNOWN) & (code != UNFITTED) & (high > 0)
    if end is not None:
        low = np.where(code == DIVERGED, end, low)
    kept &= (low > 0) | np.isfinite(high)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(np.maximum(low, 0)), np.log(np.maximum(high, 0)), kept


def clusters(like: xr.DataArray, over: str) -> np.ndarray:
    """Return of every run the number of the value of an axis, or its own."""
    if over not in like.dims:
        return np.arange(like.size)
    place = xr.DataArray(np.arange(like.sizes[over]), dims=over)
    return place.broadcast_like(like).transpose(*like.dims).values.ravel()


def exponents(best: Fit, told: list[str], runs: int, confidence: float) -> xr.Dataset:
    """Return coefficients with Student's intervals."""
    count = len(told)
    error = np.sqrt(np.maximum(np.diag(best.covariance)[:count], 0) * runs / (runs - count))
    half = stdtrit(runs - count, (1 + confidence) / 2) * error
    values = best.values[:count]
    rows = {"exponent": values, "standard_error": error, "exponent_low": values - half, "exponent_high": values + half}
    out = xr.Dataset({name: ("term", row) for name, row in rows.items()}, {"term": told})
    return out.assign(scale=float(np.exp(best.values[-1])), log_likelihood=best.log_likelihood)


def drawn(draws: np.ndarray, told: list[str], confidence: float) -> xr.Dataset:
    """Return the percentiles of resampled coefficients, and all of them."""
    values = draws[:, : len(told)]
    good = values[np.isfinite(values[:, 0])]
    ends = np.full((2, len(told)), np.nan)
    if len(good) > 1:
        ends = np.quantile(good, ((1 - confidence) / 2, (1 + confidence) / 2), axis=0)
    rows = {"bootstrap_low": ("term", ends[0]), "bootstrap_high": ("term", ends[1])}
    return xr.Dataset({**rows, "resample": (("resample", "term"), values)})


def goodness(law: Law, low: np.ndarray, high: np.ndarray, table: np.ndarray, best: Fit) -> xr.Dataset:
    """Return how much of the spread of log T is explained, and what a mean for every cell would add."""
    weight = np.ones(len(low))
    nothing = fit(law, low, high, table[:, :1], weight)
    _, cell = np.unique(table, axis=0, return_inverse=True)
    cell = cell.ravel()
    # A cell in which nothing was reached has its mean beyond all bounds, and adds nothing to the likelihood.
    reached = np.bincount(cell, np.isfinite(high)) > 0
    place = np.cumsum(reached) - 1
    inside = reached[cell]
    own = np.eye(int(reached.sum()))[place[cell[inside]]]
    full = fit(law, low[inside], high[inside], own, weight[inside], flat=NEAR)
    freedom = len(reached) - table.shape[1]
    gain = 2 * (full.log_likelihood - best.log_likelihood)
    scales = np.exp([best.values[-1], nothing.values[-1]])
    return xr.Dataset(
        {
            "aic": 2 * len(best.values) - 2 * best.log_likelihood,
            "explained": 1 - (scales[0] / scales[1]) ** 2,
            "lack_of_fit": gain,
            "lack_of_fit_freedom": freedom,
            "lack_of_fit_p": float(chdtrc(freedom, max(gain, 0))) if freedom > 0 else np.nan,
        }
    )
