"""How well a quantity tells early in which runs something will happen: area under the curve, alarms and leads."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import checks


class Area(NamedTuple):
    """Area under the receiver operating characteristic, with its standard error; nan where one kind has no runs."""

    value: float
    error: float
    happens: int
    others: int


class Alarm(NamedTuple):
    """An alarm that is set on some runs and raised in others.

    Attributes:
        sign: 1 where it is raised at large values, -1 at small ones.
        threshold: in standard deviations of the runs without the event, see ``alarm``.
        leads: steps from the alarm to the event, 0 where there was none before it [runs of the others that have one].
        false_alarms: whether it was raised [runs of the others without the event].
    """

    sign: int
    threshold: float
    leads: np.ndarray
    false_alarms: np.ndarray


def auroc(values: Any, happens: Any) -> Area:
    """Return with what probability a run in which it happens has a larger value than one in which it does not.

    A = mean over pairs of 1 where larger, 1/2 where equal; its variance is DeLong's (DeLong et al. 1988),
    var_i(mean_j) / m + var_j(mean_i) / n over the m runs with and the n without it.

    Args:
        values: one number a run; a run whose value is nan is left out. happens: whether it does, of every run.

    Raises ArgumentError (a ValueError) for shapes that do not fit.
    """
    values, happens = np.asarray(values, np.float64), np.asarray(happens, bool)
    if values.ndim != 1 or values.shape != happens.shape:
        raise checks.ArgumentError(f"happens: got shape {happens.shape}; expected {values.shape}, one of every run.")
    one, other = values[happens & ~np.isnan(values)], values[~happens & ~np.isnan(values)]
    m, n = len(one), len(other)
    if not m or not n:
        return Area(np.nan, np.nan, m, n)
    wins = (one[:, None] > other) + 0.5 * (one[:, None] == other)
    if m < 2 or n < 2:
        return Area(float(wins.mean()), np.nan, m, n)
    variance = wins.mean(axis=1).var(ddof=1) / m + wins.mean(axis=0).var(ddof=1) / n
    return Area(float(wins.mean()), float(np.sqrt(variance)), m, n)


def alarm(steps: Any, values: Any, event: Any, setting: Any, false: float = 0.1) -> Alarm:
    """Set an alarm on some runs so that few of those without the event raise it, and see how early it is in the others.

    Runs are compared at the same step, as all may drift: z = sign (x - mean) / sd, mean and standard deviation those of
    the quantity at that record over the runs without the event on which the alarm is set. It is raised at the first
    record with z above the threshold, the 1 - false quantile over those runs of what each comes to at most. The sign
    is that whose median lead is larger where it is set, of equal ones that with the larger mean.

    Args:
        steps: of records [records].
        values: of the quantity [runs, records], nan where it was not measured.
        event: step at which it happens, inf where it does not [runs].
        setting: whether the alarm is set on a run, or raised in it [runs].
        false: share of the runs without the event that may raise it, where it is set.

    Returns sign, threshold, leads and false alarms.

    Raises ArgumentError (a ValueError) for shapes that do not fit, or where the alarm is set on no run with the event
    or on fewer than two without.
    """
    steps, values, event = (np.asarray(x, np.float64) for x in (steps, values, event))
    setting = np.asarray(setting, bool)
    if values.shape != (len(event), len(steps)) or setting.shape != event.shape:
        raise checks.ArgumentError(f"values: got shape {values.shape}; expected [runs, records] of event and steps.")
    false, there = checks.fraction(false, "false"), np.isfinite(event)
    if not (there & setting).any() or (~there & setting).sum() < 2:
        raise checks.ArgumentError("setting: expected runs with the event, and at least two without it.")
    score, found = beside(values, values[~there & setting]), []
    for sign in (1, -1):
        most = np.fmax.reduce(sign * score[~there & setting], axis=1)
        threshold = float(np.quantile(most[~np.isnan(most)], 1 - false))
        raised = first_above(steps, sign * score, threshold)
        known = leads(raised, event)[there & setting]
        found.append((float(np.median(known)), float(np.mean(known)), sign, threshold, raised))
    _, _, sign, threshold, raised = max(found, key=lambda one: one[:2])
    lead = leads(raised, event)[there & ~setting]
    return Alarm(sign, threshold, lead, np.isfinite(raised[~there & ~setting]))


def beside(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return values [runs, records] in standard deviations from the mean of others at the same record, nan without."""
    known = np.isfinite(others)
    count = known.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known, others, 0).sum(axis=0) / count
        spread = np.sqrt(np.where(known, (others - mean) ** 2, 0).sum(axis=0) / (count - 1))
        return np.where((count > 1) & (spread > 0), (values - mean) / spread, np.nan)


def first_above(steps: np.ndarray, values: np.ndarray, threshold: float) -> np.ndarray:
    """Return the step of every run's first record above a threshold, inf where there is none."""
    above = values > threshold
    return np.where(above.any(axis=1), steps[above.argmax(axis=1)], np.inf)


def leads(raised: np.ndarray, event: np.ndarray) -> np.ndarray:
    """Return the steps from alarm to event, 0 where it was not raised before."""
    with np.errstate(invalid="ignore"):
        return np.where(raised < event, event - raised, 0.0)
