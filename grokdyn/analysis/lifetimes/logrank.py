"""Do groups of runs differ in their times? The log-rank test."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
from scipy.special import chdtrc

# In a smaller group the chi-squared law is poor; runs are then exchanged between groups.
FEW = 10
EXCHANGES = 9999
# In all their ways, where there are no more of these.
ALL_WAYS = 10_000


class LogRank(NamedTuple):
    """The test's value, its degrees of freedom, its p, and how that was found ("chi-squared" or "exchanges")."""

    statistic: float
    freedom: int
    p: float
    method: str


def logrank(time: np.ndarray, seen: np.ndarray, group: np.ndarray, exchanges: int = EXCHANGES) -> LogRank:
    """Compare groups by sum_t (d_g - y_g d / y) over event times t, with its hypergeometric variance (Mantel 1966).

    Args:
        time: of the event, or of the last look [runs]; seen: whether the event was seen [runs].
        group: whole numbers from 0 on [runs].
        exchanges: how many times runs are exchanged between groups where one has fewer than ten.
    """
    at, events = np.unique(time[seen], return_inverse=True)
    groups = int(group.max()) + 1
    value, freedom = statistic(at, events, time, seen, group, groups)
    if np.bincount(group, minlength=groups).min() >= FEW or not exchanges:
        return LogRank(value, freedom, float(chdtrc(freedom, value)) if freedom else 1.0, "chi-squared")
    found = np.array([statistic(at, events, time, seen, g, groups)[0] for g in orders(group, groups, exchanges)])
    return LogRank(value, freedom, float(np.mean(found >= value - 1e-9)), "exchanges")


def statistic(at, events, time, seen, group, groups) -> tuple[float, int]:
    member = np.eye(groups)[group]
    died = np.stack([np.bincount(events, member[seen, g], len(at)) for g in range(groups)], 1)
    order = np.argsort(time, kind="stable")
    left = np.concatenate([np.cumsum(member[order][::-1], 0)[::-1], np.zeros((1, groups))])
    risk = left[np.searchsorted(time[order], at)]
    d, y = died.sum(1), risk.sum(1)
    share = risk / y[:, None]
    scale = d * (y - d) / np.maximum(y - 1, 1)
    off = (died - d[:, None] * share).sum(0)[:-1]
    spread = np.diag((scale[:, None] * share).sum(0)) - (scale[:, None] * share).T @ share
    freedom = int(np.linalg.matrix_rank(spread))
    return float(off @ np.linalg.pinv(spread[:-1, :-1]) @ off), freedom


def orders(group: np.ndarray, groups: int, exchanges: int):
    """Yield the ways to give runs to two groups, all where they are few; else drawn ones, after the one there is."""
    n, first = len(group), int(np.sum(group == 0))
    if groups == 2 and math.comb(n, first) <= ALL_WAYS:
        for chosen in itertools.combinations(range(n), first):
            given = np.ones(n, int)
            given[list(chosen)] = 0
            yield given
        return
    yield group
    rng = np.random.default_rng(0)
    for _ in range(exchanges):
        yield rng.permutation(group)
