"""Synthetic experiments of known truth for every estimand: records of a tenth of the median, 70 % censored."""

import numpy as np
from scipy import stats

from grokdyn.analysis.claims import (
    Claim,
    Contrast,
    MaximalError,
    Median,
    Order,
    Probability,
    RestrictedDifference,
    Student,
    judge,
    mean,
)
from grokdyn.analysis.lifetimes.curve import curve
from grokdyn.analysis.lifetimes.laws import LAWS
from grokdyn.analysis.lifetimes.means import restricted_mean
from grokdyn.analysis.lifetimes.regression import fit

MEDIAN, SPREAD, SEEDS = 1000.0, 0.5, 32
RECORD = MEDIAN / 10


def recorded(time, end=np.inf):
    """Return between which records times lie that are followed to an end."""
    low = np.floor(time / RECORD) * RECORD
    end = np.floor(end / RECORD) * RECORD
    return np.minimum(low, end), np.where(low + RECORD <= end, low + RECORD, np.inf)


def times(rng, n=SEEDS, median=MEDIAN, shared=0.0):
    return median * np.exp(SPREAD * rng.standard_normal(n) + shared)


def quantile(q):
    return MEDIAN * np.exp(SPREAD * stats.norm.ppf(q))


def random_ends(rng, n):
    """Return ends that leave 70 % of the times unseen, most of the others late."""
    return MEDIAN * np.exp(-0.37 + SPREAD * rng.standard_normal(n))


def pair(rng, ends=(lambda t: t)):
    shared = rng.standard_normal(SEEDS)
    return ends(times(rng, median=1.3 * MEDIAN, shared=shared)), ends(times(rng, shared=shared))


def close(rng, factor, spread):
    """Return times of two arms whose seeds differ little, at records a factor apart."""
    one = MEDIAN * np.exp(spread * rng.standard_normal(SEEDS) + rng.uniform(0, np.log(factor)))
    other = 1.3 * one * np.exp(spread * rng.standard_normal(SEEDS))
    records = [np.floor(np.log(t) / np.log(factor)) for t in (other, one)]
    return tuple((factor**k, factor ** (k + 1)) for k in records)


def share_left(rng, n, ends, at):
    """Return the survival at a time, as an estimand: its band is what is tried."""
    return Band(curve(*ends(times(rng, n))), at)


class Band:
    def __init__(self, made, at):
        self.runs, self.at = made.steps, at

    def interval(self, level):
        found = curve(self.runs.lows, self.runs.highs, level)
        return found.at([self.at], "low")[0], found.at([self.at], "high")[0]


class Placed:
    """Where a value at a record lies among runs."""

    def __init__(self, times, at):
        self.times, self.at = Median(times), at

    def interval(self, level):
        return self.times.place(self.at, level)[1:]


class Restricted:
    def __init__(self, low, high, horizon):
        self.runs, self.horizon = (low, high), horizon

    def interval(self, level):
        return restricted_mean(curve(*self.runs), self.horizon, level)[1:]


def mean_to(horizon, median=MEDIAN, spread=SPREAD):
    """Return E min(T, horizon) of the law."""
    z = np.log(horizon / median) / spread
    inside = median * np.exp(spread**2 / 2) * stats.norm.cdf(z - spread)
    return inside + horizon * stats.norm.sf(z)


def later(horizon):
    """Return by how much the slower arm of ``pair`` is later up to a horizon, in the mean."""
    spread = np.hypot(1, SPREAD)
    return mean_to(horizon, 1.3 * MEDIAN, spread) - mean_to(horizon, MEDIAN, spread)


def followed(horizon):
    """Return how times are recorded up to a horizon."""
    return lambda t: recorded(t, horizon)


def slope(rng, ends, n=60):
    """Return the exponent -0.8 of a law over three values, fitted."""
    x = np.log(np.repeat([0.1, 0.3, 1.0], n // 3))
    low, high = ends(MEDIAN * np.exp(-0.8 * (x + 1.2) + SPREAD * rng.standard_normal(n)))
    with np.errstate(divide="ignore"):
        ends_of = np.log(np.maximum(low, 0)), np.log(high)
    kept = ~((low <= 0) & np.isinf(high))
    found = fit(LAWS["lognormal"], *(e[kept] for e in ends_of), np.stack([np.ones(n), x], 1)[kept], np.ones(kept.sum()))
    runs = int(kept.sum())
    error = np.sqrt(found.covariance[1, 1] * runs / (runs - 2))
    return Student(found.values[1], error, runs - 2, runs, "exponent")


def ordered(rng):
    arms = [times(rng, median=m, shared=0) for m in (MEDIAN, 1.3 * MEDIAN, 3 * MEDIAN)]
    return Order(tuple(recorded(arm) for arm in arms), paired=False)


# With ends at random: seen until then, to the record.
def ended(rng):
    return lambda t: recorded(t, random_ends(rng, len(t)))


BUDGET = quantile(0.3)  # 70 % are later
CASES = {
    "probability .6": (0.6, lambda rng: Probability(rng.random(SEEDS) < 0.6)),
    "probability .9": (0.9, lambda rng: Probability(rng.random(SEEDS) < 0.9)),
    "share below a value, records": (
        stats.norm.cdf(np.log(1.5) / SPREAD),
        lambda rng: Placed(recorded(times(rng)), 1.5 * MEDIAN),
    ),
    "median": (MEDIAN, lambda rng: Median(times(rng))),
    "median, records": (MEDIAN, lambda rng: Median(recorded(times(rng)))),
    "median, 30 % after the budget": (MEDIAN, lambda rng: Median(recorded(times(rng), quantile(0.7)))),
    "ratio of pairs": (1.3, lambda rng: Contrast(*pair(rng))),
    "ratio of pairs, records": (1.3, lambda rng: Contrast(*pair(rng, recorded))),
    "ratio of close pairs, narrow records": (1.3, lambda rng: Contrast(*close(rng, 1.02, 0.15))),
    "mean": (MEDIAN, lambda rng: mean(MEDIAN + 300 * rng.standard_normal(SEEDS))),
    "exponent": (-0.8, lambda rng: slope(rng, lambda t: (t, t))),
    "exponent, records": (-0.8, lambda rng: slope(rng, recorded)),
    "exponent, records, 70 % after the budget": (-0.8, lambda rng: slope(rng, lambda t: recorded(t, 720.0), 120)),
    "exponent, records, 70 % ended at random": (-0.8, lambda rng: slope(rng, ended(rng), 120)),
    "survival, records": (0.5, lambda rng: share_left(rng, SEEDS, recorded, MEDIAN)),
    "survival, records, 70 % ended at random": (
        stats.norm.sf(np.log(0.75) / SPREAD),
        lambda rng: share_left(rng, 100, ended(rng), 0.75 * MEDIAN),
    ),
    "restricted mean, records": (mean_to(1500.0), lambda rng: Restricted(*recorded(times(rng)), 1500.0)),
    "restricted mean, records, 70 % after the budget": (
        mean_to(700.0),
        lambda rng: Restricted(*recorded(times(rng, 100), BUDGET), 700.0),
    ),
}
# By step 600 a quarter of the slower arm's runs and a third of the other's have come to it; by 800 a third.
CASES |= {
    "restricted difference of pairs": (later(1500.0), lambda rng: RestrictedDifference(*pair(rng), 1500.0)),
    "restricted difference of pairs, records, 70 % after the budget": (
        later(600.0),
        lambda rng: RestrictedDifference(*pair(rng, followed(600.0)), 600.0),
    ),
    "restricted difference of pairs, records, one arm never, two thirds of the other after the budget": (
        800.0 - mean_to(800.0),
        lambda rng: RestrictedDifference(np.full(SEEDS, 1e9), recorded(times(rng), 800.0), 800.0),
    ),
}
# Intervals that cover more often than their level, by what they are: a largest distance, a median that is beyond what
# was seen, so that all that is told of it is a lower bound, and a mean of what fewer than six pairs came to.
WIDE = {
    "ratio of medians": (1.3, lambda rng: Contrast(times(rng, median=1.3 * MEDIAN), times(rng), paired=False)),
    "ratio of medians, records": (
        1.3,
        lambda rng: Contrast(recorded(times(rng, median=1.3 * MEDIAN)), recorded(times(rng)), paired=False),
    ),
    "difference of medians, records": (
        0.3 * MEDIAN,
        lambda rng: Contrast(recorded(times(rng, median=1.3 * MEDIAN)), recorded(times(rng)), "difference", False),
    ),
    "order of three": (0.3 * MEDIAN, ordered),
    "largest distance of a mean": (
        0.3,
        lambda rng: MaximalError(rng.standard_normal((SEEDS, 20)) + np.where(np.arange(20) == 7, 0.3, 0), 0.0),
    ),
    "restricted difference of pairs, records, one arm never, three quarters of the other after the budget": (
        700.0 - mean_to(700.0),
        lambda rng: RestrictedDifference(np.full(SEEDS, 1e9), recorded(times(rng), 700.0), 700.0),
    ),
    "median, 70 % after the budget": (MEDIAN, lambda rng: Median(recorded(times(rng), BUDGET))),
    "ratio of pairs, records half as far apart as pairs": (1.3, lambda rng: Contrast(*close(rng, 1.05, 0.15))),
    "ratio of pairs, records as far apart as pairs": (1.3, lambda rng: Contrast(*close(rng, 1.2, 0.15))),
    "ratio of pairs, records farther apart than pairs": (1.3, lambda rng: Contrast(*close(rng, 1.41, 0.05))),
    "ratio of pairs, 70 % after the budget": (
        1.3,
        lambda rng: Contrast(*pair(rng, lambda t: recorded(t, 700.0))),
    ),
}


def covered(name, draws, level=0.95):
    """Return the share of intervals below, around and above the truth."""
    truth, draw = {**CASES, **WIDE}[name]
    below = above = 0
    for seed in range(draws):
        low, high = draw(np.random.default_rng(seed)).interval(level)
        below += high < truth
        above += low > truth
    return below / draws, 1 - (below + above) / draws, above / draws


def false_folders(draws):
    """Return in which share of folders any verdict is false, the truth of each claim being just outside its region."""
    names = [n for n in CASES if not n.startswith(("survival", "restricted mean", "share"))][::3]
    false = 0
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        claims = []
        for i, name in enumerate(names):
            truth, draw = CASES[name]
            edge = truth + (1e-9 if i % 2 else -1e-9)
            region = (edge, np.inf) if i % 2 else (-np.inf, edge)
            claims.append(Claim(name, "s", "e", draw(rng), region, (-np.inf, np.inf)))
        found = judge(claims)
        false += any(v.verdict == "holds" for v in found)
    return false / draws
