"""The estimate of largest likelihood of a survival function, from times that are known to an interval.

For runs with the event in (L_i, R_i], or after L_i where R_i is inf, the likelihood prod_i [S(L_i) - S(R_i)] depends on
S only through its mass in the innermost intervals, those from an L to an R with no other end between (Turnbull 1976).
With d_j the events and y_j the runs at risk in the j-th of them, S = prod_j (1 - d_j / y_j); events that may have been
in several are shared among them in proportion to the mass there, until nothing changes (EM). Where every event is in
one
interval only, as on one grid of records, nothing is shared: that is Kaplan and Meier's estimate, at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# It is found where the mean likelihood gains by no more than this share of any mass that is moved (the gradient rule).
TOLERANCE = 1e-8
MOST_ROUNDS = 2000
# Where ends are at one value: that of an event at just that time, that of an interval which includes it, that of one
# which begins after it.
EXACT, RIGHT, LEFT = range(3)


class Steps(NamedTuple):
    """Events and runs at risk in innermost intervals.

    Attributes:
        begin, end: of the intervals [m]; the same for an event at just that time.
        events, at_risk: how many, not whole where events are shared [m].
        lows, highs: the ends of the intervals of all runs, sorted [runs].
    """

    begin: np.ndarray
    end: np.ndarray
    events: np.ndarray
    at_risk: np.ndarray
    lows: np.ndarray
    highs: np.ndarray

    @property
    def survival(self) -> np.ndarray:
        """S at the ends [m]."""
        return np.cumprod(1 - self.events / self.at_risk)


def steps(low: np.ndarray, high: np.ndarray) -> Steps:
    """Estimate from the ends of the intervals of all runs [runs]; high is inf where only low is known.

    Equal to Kaplan and Meier's estimate for known times, low = high. A run that was last seen at the time of an event
    of another was at risk of it.
    """
    low, high = np.asarray(low, float), np.asarray(high, float)
    order = np.lexsort((high, low))
    low, high = low[order], high[order]
    left, right, begin, end = innermost(low, high)
    seen = np.isfinite(high)
    first, last = left[seen], right[seen]
    if not len(begin):
        empty = np.zeros(0)
        return Steps(empty, empty, empty, empty, low, high)
    # Those that were last seen after the j-th interval were at risk in it.
    ended = np.bincount(left[~seen], minlength=len(begin) + 1)
    censored = np.cumsum(ended[::-1])[::-1][1:]
    events = shared(first, last, censored, ended)
    at_risk = np.cumsum(events[::-1])[::-1] + censored
    return Steps(begin, end, events, at_risk, low, high)


def innermost(low: np.ndarray, high: np.ndarray):
    """Return of every run the first and last innermost interval that lies in its own, and their begins and ends."""
    ended = np.isfinite(high)
    n, value = len(low), np.concatenate([low, high[ended]])
    kind = np.concatenate([np.where(low == high, EXACT, LEFT), np.full(ended.sum(), RIGHT)])
    order = np.lexsort((kind, value))
    is_left = order < n
    at = np.flatnonzero(is_left[:-1] & ~is_left[1:])
    place = np.empty(len(value), int)
    place[order] = np.arange(len(value))
    first, last = np.searchsorted(at, place[:n]), np.full(n, len(at))
    last[ended] = np.searchsorted(at + 1, place[n:], side="right") - 1
    return first, last, value[order[at]], value[order[at + 1]]


def shared(first: np.ndarray, last: np.ndarray, censored: np.ndarray, left: np.ndarray) -> np.ndarray:
    """Return the events in each interval, where the i-th was in one from first[i] to last[i].

    `censored` are at risk in the j-th interval without an event, `left` were last seen just before it.
    """
    count = len(censored)
    events = np.bincount(first[first == last], minlength=count).astype(float)
    open_ = first != last
    if not open_.any():
        return events
    pairs, times = np.unique(np.stack([first[open_], last[open_] + 1]), axis=1, return_counts=True)
    known, mass = events, np.full(count, 1.0)
    mass = step_of(mass / count, pairs, times, known, censored)
    for turn in range(MOST_ROUNDS):
        one = step_of(mass, pairs, times, known, censored)
        two = step_of(one, pairs, times, known, censored)
        change, bend = one - mass, two - 2 * one + mass
        # EM made faster by a step along its own direction (Varadhan & Roland 2008), not below any mass of nothing.
        size = np.sqrt(change @ change / max(bend @ bend, 1e-300))
        ahead = mass + 2 * size * change + size**2 * bend
        mass = ahead if size > 1 and ahead.min() > 0 else two
        if turn % 8 == 0 and gain(two, pairs, times, known, left) <= TOLERANCE:
            mass = two
            break
    return expected(mass, pairs, times, known)[0]


def gain(mass, pairs, times, known, left) -> float:
    """Return by what share the likelihood of a run would grow, on average, with the mass where it helps most."""
    events, rate = expected(mass, pairs, times, known)
    beyond = np.maximum(1 - np.concatenate([[0.0], np.cumsum(mass)]), 1e-300)
    of_left = np.cumsum(np.where(left > 0, left / beyond, 0.0))[:-1]
    rate = rate + known / np.maximum(mass, 1e-300) * (known > 0) + of_left
    return rate.max() / (events.sum() + left.sum()) - 1


def expected(mass: np.ndarray, pairs: np.ndarray, times: np.ndarray, known: np.ndarray):
    """Share events among intervals in proportion to the mass there; return them, and how many for a unit of mass."""
    before = np.concatenate([[0.0], np.cumsum(mass)])
    share = times / np.maximum(before[pairs[1]] - before[pairs[0]], 1e-300)
    ends = [np.bincount(side, share, len(mass) + 1) for side in pairs]
    rate = np.cumsum(ends[0] - ends[1])[:-1]
    return known + mass * rate, rate


def step_of(mass, pairs, times, known, censored) -> np.ndarray:
    """Return the mass after a round of EM."""
    events, _ = expected(np.maximum(mass, 0), pairs, times, known)
    at_risk = np.cumsum(events[::-1])[::-1] + censored
    survival = np.cumprod(1 - events / np.maximum(at_risk, 1e-300))
    return np.concatenate([[1.0], survival[:-1]]) * events / np.maximum(at_risk, 1e-300)
