"""The cost of not fitting the tail (Feldman 2020, arXiv 1906.05271): long-tailed subpopulations, each with a label.

N subpopulations have the frequencies of a list p_1..p_N, in an order that nobody knows, and independent labels, uniform
among K classes. Of n examples, a subpopulation that was seen l times has, of all that is known, the mean frequency

    tau_l = sum_j p_j^{l+1} (1 - p_j)^{n-l} / sum_j p_j^l (1 - p_j)^{n-l},

theorem 2.3 of the paper for a given list; for a prior over lists both sums are means over it. A learner that does not
fit `u` of those seen l times (it predicts their labels by chance) has an expected error higher by tau_l u (1 - 1/K)
than one that does. What was never seen is predicted by chance: tau_0 times the number of unseen ones is unavoidable.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import lgamma
from typing import NamedTuple

import numpy as np


class Level(NamedTuple):
    """Subpopulations seen exactly l times: their expected number, and their expected share of all frequency."""

    count: np.ndarray
    mass: np.ndarray


def zipf(subpopulations: int, exponent: float = 1.0) -> np.ndarray:
    """Return p_j proportional to j^-exponent, j = 1..N; exponent 0 is uniform."""
    if subpopulations < 1:
        raise ValueError(f"subpopulations: got {subpopulations!r}; allowed: an integer from 1 on")
    return normalised(np.arange(1, subpopulations + 1) ** -float(exponent))


def normalised(weights: np.ndarray) -> np.ndarray:
    """Return frequencies [..., N] that sum to 1 along the last axis: a list, or draws of a prior, one in each row.

    Raises:
        ValueError: if a weight is below 0 or not finite, or all of a row are 0.
    """
    weights = np.asarray(weights, np.float64)
    totals = weights.sum(axis=-1, keepdims=True) if weights.ndim else np.zeros(1)
    if not (np.all(np.isfinite(weights)) and np.all(weights >= 0) and np.all(totals > 0)):
        raise ValueError(f"weights: got {weights!r}; allowed: finite numbers of at least 0, one of each row above")
    return weights / totals


def tau(frequencies: np.ndarray, examples: int, times: int) -> float:
    """Return tau_l, the mean frequency of a subpopulation seen l times in n examples.

    Args:
        frequencies: one list [N], or draws of a prior over lists [draws, N].
        examples: n; times: l, from 0 to n.

    Returns:
        nan where no subpopulation can be seen l times.
    """
    log_chance = _log_chance(frequencies, examples, times)
    top = np.max(log_chance)
    if top == -np.inf:
        return float("nan")
    # The binomial coefficient is the same in both sums.
    chance = np.exp(log_chance - top)
    return float(np.sum(chance * frequencies) / np.sum(chance))


def level(frequencies: np.ndarray, examples: int, times: int) -> Level:
    """Return expected count and mass of what is seen exactly l times, for lists [..., N]; mass = tau_l count."""
    chance = np.exp(_log_chance(frequencies, examples, times))
    return Level(chance.sum(axis=-1), np.sum(chance * frequencies, axis=-1))


def cost(frequencies: np.ndarray, examples: int, times: int, classes: int, unfitted: float = 1.0) -> np.ndarray:
    """Return by how much the expected error rises when a share of what is seen exactly l times is left unfitted."""
    return unfitted * (1 - 1 / _classes(classes)) * level(frequencies, examples, times).mass


def error(frequencies: np.ndarray, examples: int, classes: int, unfitted: Iterable[int] = ()) -> np.ndarray:
    """Return the expected error of a learner that fits all it has seen but what was seen `unfitted` times."""
    levels = {0, *unfitted}
    return np.sum([cost(frequencies, examples, times, classes) for times in levels], axis=0)


def simulated(
    frequencies: np.ndarray,
    examples: int,
    classes: int,
    generator: np.random.Generator,
    unfitted: Iterable[int] = (),
    draws: int = 1,
) -> np.ndarray:
    """Draw train sets, labels and a learner's guesses, and return its exact error on each draw, [draws].

    The learner predicts the label of every subpopulation it has seen, by chance of those never seen or seen `unfitted`
    times.
    """
    p, _ = normalised(frequencies), _classes(classes)
    seen = generator.multinomial(examples, p, size=draws)
    labels, guesses = (generator.integers(classes, size=seen.shape) for _ in range(2))
    guessed = np.isin(seen, [0, *unfitted])
    return np.sum(p * (guessed & (labels != guesses)), axis=-1)


def _log_chance(frequencies: np.ndarray, examples: int, times: int) -> np.ndarray:
    """Return the logarithm of the chance to be seen l times, binomial; -inf where it is 0."""
    p = np.asarray(frequencies, np.float64)
    if not 0 <= times <= examples:
        raise ValueError(f"times: got {times!r}; allowed: an integer from 0 to {examples}, the number of examples")
    if not (np.all(p >= 0) and np.all(p <= 1)):
        raise ValueError("frequencies: got a number outside [0, 1]; see normalised()")
    ways = lgamma(examples + 1) - lgamma(times + 1) - lgamma(examples - times + 1)
    with np.errstate(divide="ignore"):
        # 0 log 0 is 0: never seen is certain at frequency 0, always seen at 1.
        seen = times * np.log(p) if times else np.zeros_like(p)
        missed = (examples - times) * np.log1p(-p) if examples > times else np.zeros_like(p)
    return ways + seen + missed


def _classes(classes: int) -> int:
    if classes < 1:
        raise ValueError(f"classes: got {classes!r}; allowed: an integer from 1 on")
    return classes
