"""Verdicts on claims, by intervals, with a bounded share of false ones in all of a folder together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .estimands import Estimand, Median, Probability
from .shares import blaker

HOLDS, FAILS, OPEN = "holds", "does not hold", "not decided"
# Of all verdicts of a folder, the chance that any is false; and the level of the intervals that are shown.
ALPHA, LEVEL = 0.05, 0.95
# More seeds than these are not counted.
MOST_SEEDS = 100_000
HALVINGS = 40


@dataclass(frozen=True)
class Claim:
    """A statement about an estimand that an interval can bear out or refute.

    It holds where the whole interval lies in `agrees`, does not where the whole interval lies outside of `bears`, and
    is not decided else.

    Attributes:
        text: the statement, in a sentence.
        source: who says so, and where the number comes from.
        expected: the value in the source, in words.
        estimand: what of the law of runs it is about; None where a scale does not measure it.
        agrees: the values that agree, ends included.
        bears: the values that do not contradict: `agrees`, or more around it, where a value may be neither.
        published: the source's value, for where it lies among our runs.
        unit: of the values.
        disputed: who says otherwise, where somebody does.
    """

    text: str
    source: str
    expected: str
    estimand: Estimand | None
    agrees: tuple[float, float]
    bears: tuple[float, float] | None = None
    published: float | None = None
    unit: str = ""
    disputed: str = ""

    def at(self, level: float) -> str:
        """Return the verdict of the interval at one level."""
        if self.estimand is None or not self.estimand.seeds:
            return OPEN
        low, high = self.estimand.interval(level)
        least, most = self.bears or self.agrees
        if self.agrees[0] <= low and high <= self.agrees[1]:
            return HOLDS
        return FAILS if high < least or low > most else OPEN


@dataclass(frozen=True)
class Verdict:
    """What was found of a claim.

    Attributes:
        estimate, low, high: with its interval at the level ``LEVEL``.
        p: the least share of errors at which an interval decides; 1 where none does.
        adjusted: the same for all claims judged together (Holm 1979).
        verdict: ``HOLDS``, ``FAILS`` or ``OPEN``.
        needed: about how many seeds would decide, if more were like these; None where decided, or where none would.
        place: the share of our runs below the published value, with its interval; None where there is none.
    """

    claim: Claim
    estimate: float
    low: float
    high: float
    p: float
    adjusted: float
    verdict: str
    needed: int | None
    place: tuple[float, float, float] | None


def most(
    text: str, source: str, expected: str, hits: Any, unit: str = "of seeds", disputed: str = "", measured: bool = True
) -> Claim:
    """Return the claim that nearly all seeds do what is asked: at least 4 of 5, and contradicted by fewer than half.

    Args:
        hits: as of ``Probability``.
        measured: False for a scale that does not measure it.
    """
    what = Probability(hits) if measured else None
    return Claim(text, source, expected, what, (0.8, 1.0), (0.5, 1.0), unit=unit, disputed=disputed)


def near(value: float, factor: float = 1.5) -> tuple[float, float]:
    """Return the values that agree with a published time of one seed: within this factor of it."""
    return value / factor, value * factor


def judge(claims: Sequence[Claim], alpha: float = ALPHA, decides: bool = True) -> list[Verdict]:
    """Judge claims together: with a chance of 1 - alpha no verdict is false, whatever is true.

    A claim's p is the least alpha at which its own interval, of level 1 - alpha, decides. By Holm's rule the claim with
    the i-th least p of m is decided where (m - i + 1) p is at most alpha, as are all before it.

    Args:
        decides: False at a scale that is too small or short to decide anything.
    """
    measured = [c.estimand is not None and c.estimand.seeds > 0 for c in claims]
    p = np.array([least_alpha(c) if seen else 1.0 for c, seen in zip(claims, measured, strict=True)])
    adjusted = holm(p, sum(measured))
    found = []
    for claim, one, joint in zip(claims, p, adjusted, strict=True):
        decided = decides and joint <= alpha
        verdict = claim.at(1 - one) if decided else OPEN
        found.append(_told(claim, float(one), float(joint), verdict, alpha / max(sum(measured), 1), decides))
    return found


def least_alpha(claim: Claim) -> float:
    """Return the least alpha, to a thousandth of itself, at which the interval of level 1 - alpha decides; else 1."""
    if claim.at(0.5) == OPEN:
        return 1.0
    low, high = math.log(1e-9), math.log(0.5)
    if claim.at(1 - math.exp(low)) != OPEN:
        return math.exp(low)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if claim.at(1 - math.exp(middle)) != OPEN else (middle, high)
        if high - low < 1e-3:
            break
    return math.exp(high)


def holm(p: np.ndarray, among: int) -> np.ndarray:
    """Return p adjusted for being the least of many."""
    order = np.argsort(p, kind="stable")
    factors = np.maximum(among - np.arange(len(p)), 1)
    out = np.empty(len(p))
    out[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return out


def _told(claim: Claim, p: float, joint: float, verdict: str, alpha: float, decides: bool) -> Verdict:
    what = claim.estimand
    if what is None or not what.seeds:
        return Verdict(claim, np.nan, np.nan, np.nan, p, joint, verdict, None, None)
    low, high = what.interval(LEVEL)
    needed = needed_seeds(claim, alpha) if decides and verdict == OPEN else None
    place = None
    if claim.published is not None and isinstance(what, Median):
        place = what.place(claim.published, LEVEL)
    return Verdict(claim, what.estimate(), low, high, p, joint, verdict, needed, place)


def needed_seeds(claim: Claim, alpha: float) -> int | None:
    """Return about how many seeds would decide, the interval shrinking with their root; None where none would.

    For a probability the share stays as it is.
    """
    what = claim.estimand
    assert what is not None
    value, n = what.estimate(), what.seeds
    if isinstance(what, Probability):
        least, most = claim.bears or claim.agrees
        if not (claim.agrees[0] <= value <= claim.agrees[1] or value < least or value > most):
            return None
        return next((m for m in _sizes(n) if _decided_by(claim, value, m, alpha)), None)
    low, high = what.interval(1 - alpha)
    factor = max(_shrinking(value, low, high, claim), 1.0)
    needed = n * factor * factor  # inf where a power would raise
    return math.ceil(needed) if needed < MOST_SEEDS else None


def _shrinking(value: float, low: float, high: float, claim: Claim) -> float:
    """Return by what factor an interval has to shrink around its value to lie in a region that decides."""
    down, up = value - low, high - value
    (a, b), (least, most) = claim.agrees, claim.bears or claim.agrees
    if not np.isfinite(value):
        return np.inf

    def factor(width: float, room: float) -> float:
        return 0.0 if np.isinf(room) else (width / room if room > 0 else np.inf)

    if a < value < b:
        return max(factor(down, value - a), factor(up, b - value))
    if value < least:
        return factor(up, least - value)
    return factor(down, value - most) if value > most else np.inf


def _sizes(n: int) -> list[int]:
    grown, size = [], max(n, 4)
    while size < MOST_SEEDS:
        size = math.ceil(size * 1.05) if size > 40 else size + 1
        grown.append(size)
    return grown


def _decided_by(claim: Claim, share: float, runs: int, alpha: float) -> bool:
    low, high = blaker(round(share * runs), runs, 1 - alpha)
    least, most = claim.bears or claim.agrees
    return (claim.agrees[0] <= low and high <= claim.agrees[1]) or high < least or low > most


def lies_between(ends: Sequence[Any], agrees: Sequence[Any], bears: Sequence[Any] | None) -> bool:
    """Return whether an interval lies wholly between what agrees and what contradicts.

    Then more seeds would not decide, and the claim is known all the same: the effect is another than was asked for.
    """
    if bears is None or None in ends:
        return False
    (low, high), (a, b), (least, most) = (map(float, region) for region in (ends, agrees, bears))
    return least <= low and high <= most and (high < a or b < low)


def region_told(region: tuple[float, float]) -> str:
    """Return a region in words."""
    low, high = region
    if np.isinf(low):
        return f"at most {short(high)}"
    return f"at least {short(low)}" if np.isinf(high) else f"{short(low)} to {short(high)}"


def short(value: Any) -> str:
    """Return a number with the digits that a reader wants."""
    value = float(value)
    if np.isnan(value):
        return "nothing"
    if np.isinf(value):
        return "above all seen" if value > 0 else "below all seen"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
