"""Do runs disagree as often as they err? Generalisation disagreement (Jiang et al. 2022, arXiv 2106.13799).

For runs i with predictions h_i(x) on rows x with labels y: error e_i = P_x(h_i != y), disagreement d_ij =
P_x(h_i != h_j). With h~_k(x) the share of runs that predict k, an ensemble whose shares are right,
P(y = k | h~_k = q) = q, has a mean disagreement equal to its mean error. By how much shares are off, over all classes
together, is the class-aggregated calibration error,

    CACE = sum_q |sum_k P(y = k, h~_k = q) / sum_k P(h~_k = q) - q| sum_k P(h~_k = q) >= |E d - E e|

for two runs drawn with replacement; distinct ones disagree M / (M - 1) times as often.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from . import checks


class Estimate(NamedTuple):
    """A mean with the ends of its confidence interval; these are nan where runs are too few for one."""

    value: float
    low: float
    high: float


class Agreement(NamedTuple):
    """Disagreement of pairs beside the error of runs.

    Attributes:
        disagreement, error, difference: means; the last is disagreement - error.
        pairs: disagreement of each pair [pairs]; pair_errors: mean error of its two runs [pairs].
        errors: [runs].
        calibration_error: CACE of all runs, in [0, classes]; biased upwards where runs are few.
    """

    disagreement: Estimate
    error: Estimate
    difference: Estimate
    pairs: np.ndarray
    pair_errors: np.ndarray
    errors: np.ndarray
    calibration_error: float


class Calibration(NamedTuple):
    """How often a class that a share of the runs predicts is right.

    Attributes:
        share: q = 0, 1/M, ..., 1 [M + 1].
        right: sum_k P(y = k, h~_k = q) / mass; nan where no class of a row has this share.
        mass: sum_k P(h~_k = q), which sums to the number of classes.
        error: CACE.
    """

    share: np.ndarray
    right: np.ndarray
    mass: np.ndarray
    error: float


def agreement(
    predictions: np.ndarray,
    labels: np.ndarray,
    classes: int | None = None,
    pairs: str = "all",
    confidence: float = 0.95,
) -> Agreement:
    """Compare the disagreement of runs with their error on given rows.

    Intervals are over runs, for the rows as they are. With all pairs, each mean is a U-statistic of the runs: Student's
    interval with the jackknife over runs (Arvesen 1969), whose variance is on average not below the true one. With
    disjoint pairs (0, 1), (2, 3), ... the pairs are independent, and the interval is Student's over pairs.

    Args:
        predictions: predicted classes [runs, rows]; labels: [rows]. Whole numbers, also those that the probe
            ``Predictions`` records: floats.
        classes: how many there are; by default the largest number seen, plus one.
        pairs: "all" or "disjoint".
        confidence: of the intervals.

    Returns the mean error and disagreement over runs, with their intervals.

    Raises ArgumentError (a ValueError) for fewer than two runs, no rows, shapes that do not fit, or what is no class.
    """
    predictions, labels, classes = _checked(predictions, labels, classes)
    checks.choice(pairs, ("all", "disjoint"), "pairs")
    (confidence,) = checks.probabilities(confidence, "confidence")
    errors = np.mean(predictions != labels, axis=1)
    runs = errors.size
    if pairs == "all":
        table = disagreements(predictions)
        one, other = np.triu_indices(runs, 1)
        apart, estimate = table[one, other], _over_runs
    else:
        one, other = np.arange(0, runs - 1, 2), np.arange(1, runs, 2)
        apart, estimate = np.mean(predictions[one] != predictions[other], axis=1), _over_pairs
    halves = (errors[one] + errors[other]) / 2
    apart_mean, err_mean, difference = (
        estimate(values, runs, confidence) for values in (apart, halves, apart - halves)
    )
    calibration_error = calibration(predictions, labels, classes).error
    return Agreement(apart_mean, err_mean, difference, apart, halves, errors, calibration_error)


def disagreements(predictions: np.ndarray) -> np.ndarray:
    """Return on which share of the rows two runs differ, [runs, runs], for predicted classes [runs, rows]."""
    predictions = np.asarray(predictions)
    return np.stack([np.mean(predictions != one, axis=1) for one in predictions])


def calibration(predictions: np.ndarray, labels: np.ndarray, classes: int | None = None) -> Calibration:
    """Return how often classes are right, by the share of the runs that predict them.

    Args:
        predictions, labels, classes: as for ``agreement``; one run will do.

    Raises ValueError as ``agreement`` does.
    """
    predictions, labels, classes = _checked(predictions, labels, classes, least=1)
    runs, rows = predictions.shape
    votes = np.zeros((rows, classes), np.int64)
    np.add.at(votes, (np.broadcast_to(np.arange(rows), predictions.shape), predictions), 1)
    mass = np.bincount(votes.ravel(), minlength=runs + 1) / rows
    right = np.bincount(votes[np.arange(rows), labels], minlength=runs + 1) / rows
    share = np.arange(runs + 1) / runs
    with np.errstate(invalid="ignore"):
        return Calibration(share, right / mass, mass, float(np.sum(np.abs(right - share * mass))))


def student_quantile(degrees: int, confidence: float) -> float:
    """Return t with P(|T| <= t) = confidence for Student's T of a whole number of degrees of freedom.

    By bisection of the finite sums of Abramowitz & Stegun 26.7.3 and 26.7.4.
    """
    if confidence >= 1:
        return math.inf
    low, high = 0.0, 1.0
    while _within(high, degrees) < confidence:
        high *= 2
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, degrees) < confidence else (low, middle)
    return high


def _within(t: float, degrees: int) -> float:
    """Return P(|T| <= t)."""
    angle = math.atan(t / math.sqrt(degrees))
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = degrees % 2
    term, total = cosine**odd, 0.0
    for power in range(odd, degrees - 1, 2):
        total += term
        term *= (power + 1) / (power + 2) * cosine**2
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


def _over_pairs(values: np.ndarray, runs: int, confidence: float) -> Estimate:
    variance = values.var(ddof=1) / values.size if values.size > 1 else np.nan
    return _interval(values.mean(), variance, values.size, confidence)


def _over_runs(values: np.ndarray, runs: int, confidence: float) -> Estimate:
    """Estimate the mean over all pairs, given in the order of triu_indices, and its variance over runs."""
    if runs < 3:
        return Estimate(float(values.mean()), np.nan, np.nan)
    table = np.zeros((runs, runs))
    table[np.triu_indices(runs, 1)] = values
    of_run = table.sum(axis=0) + table.sum(axis=1)
    without = (values.sum() - of_run) / ((runs - 1) * (runs - 2) / 2)
    variance = (runs - 1) / runs * np.sum(np.square(without - without.mean()))
    return _interval(values.mean(), variance, runs, confidence)


def _interval(mean: float, variance: float, count: int, confidence: float) -> Estimate:
    if count < 2:
        return Estimate(float(mean), np.nan, np.nan)
    half = student_quantile(count - 1, confidence) * math.sqrt(variance)
    return Estimate(float(mean), float(mean - half), float(mean + half))


def _whole(values) -> np.ndarray:
    """Return floats that are whole numbers as integers, all else as it is."""
    values = np.asarray(values)
    if values.dtype.kind == "f" and np.all(np.abs(values) < 2**31) and np.all(values == np.round(values)):
        return values.astype(np.int64)
    return values


def _checked(predictions, labels, classes, least: int = 2) -> tuple[np.ndarray, np.ndarray, int]:
    predictions, labels = _whole(predictions), _whole(labels)
    if predictions.ndim != 2 or predictions.shape[0] < least or predictions.shape[1] < 1:
        raise checks.ArgumentError(
            f"predictions: got shape {predictions.shape}; expected [runs, rows] with at least {least} run(s) and a row."
        )
    if labels.shape != predictions.shape[1:]:
        raise checks.ArgumentError(f"labels: got shape {labels.shape}; expected {predictions.shape[1:]}, one a row.")
    for name, values in (("predictions", predictions), ("labels", labels)):
        if values.dtype.kind not in "iu" or values.min() < 0:
            raise checks.ArgumentError(f"{name}: got {values.dtype} from {values.min()} on; expected classes 0, 1, ...")
    most = int(max(predictions.max(), labels.max())) + 1
    if classes is not None and classes < most:
        raise checks.ArgumentError(
            f"classes={classes!r}: expected at least {most}; class {most - 1} is among the rows."
        )
    return predictions, labels, most if classes is None else int(classes)
