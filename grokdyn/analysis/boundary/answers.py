"""What every run of a Dataset answers to a question: yes, no, a time, or one of several classes."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import xarray as xr

from .. import checks
from ..censoring import DIVERGED, INTERVAL, UNKNOWN
from ..classify import PHASES, phases
from ..corruption import CORRUPTION_PHASES, corruption_phases
from ..lifetimes.events import event_times

FORM = re.compile(r"(?P<event>.+?)(?:\s+after\s+(?P<since>.+?))?(?:\s+within\s+(?P<level>\S+))?")
CLASSES = {"phase": (phases, PHASES), "corruption_phase": (corruption_phases, CORRUPTION_PHASES)}
QUESTIONS = (
    "'test_accuracy >= 0.9' (reached or not), 'test_accuracy >= 0.9 within 1000' (the contour of a median time), "
    "'test_loss <= 0.1 after train_loss <= 0.1 within 1000' (of a delay), 'phase', 'corruption_phase', "
    "or one of them alone: 'phase is grokking'"
)
# Times further from the level than by this factor count only as before or after it: far from the line the surface of
# times may have any shape, and need not be fitted.
WINDOW = 4.0


class Question(NamedTuple):
    """What is asked of every run.

    Attributes:
        event, since: conditions on records, ``since`` where a delay is meant; level: in steps, of a time; else None.
        classes: "phase" or "corruption_phase", in place of an event; one: the class that is told from the others.
    """

    text: str
    event: str = ""
    since: str | None = None
    level: float | None = None
    classes: str | None = None
    one: str | None = None


class Answers(NamedTuple):
    """What runs answer to one yes-or-no question, or how long they took, as z in (low, high]: below 0 is yes.

    Attributes:
        name: what is inside of the boundary; low, high: [runs], nan where nothing is known; timed: of times, z is
            log(T / level); else a sign alone.
    """

    name: str
    low: np.ndarray
    high: np.ndarray
    timed: bool

    @property
    def known(self) -> np.ndarray:
        return ~np.isnan(self.low)

    @property
    def yes(self) -> np.ndarray:
        """1 for yes, 0 for no, 1/2 for a time that is censored before the level, nan where nothing is known [runs]."""
        found = np.where(self.high <= 0, 1.0, np.where(self.low >= 0, 0.0, 0.5))
        return np.where(self.known, found, np.nan)


def asked(text: str) -> Question:
    """Return a question that is written in words.

    Raises:
        ArgumentError: for words that are none.
    """
    words = text.split() if isinstance(text, str) else []
    if words and words[0] in CLASSES:
        names = CLASSES[words[0]][1]
        if len(words) == 1:
            return Question(text, classes=words[0])
        one = " ".join(words[2:])
        if words[1] == "is" and one in names:
            return Question(text, classes=words[0], one=one)
        raise checks.ArgumentError(f"question={text!r}: expected {words[0]} is one of {checks.listed(names)}.")
    matched = FORM.fullmatch(text.strip()) if words else None
    if matched is None:
        raise checks.ArgumentError(f"question={text!r}: expected one such as {QUESTIONS}.")
    event, since, level = matched.groups()
    if since is not None and level is None:
        raise checks.ArgumentError(f"question={text!r}: a delay needs a level; expected it to end in 'within STEPS'.")
    return Question(text, event, since, None if level is None else steps_of(level, text))


def steps_of(level: str, text: str) -> float:
    try:
        found = float(level)
    except ValueError:
        found = -1.0
    if not 0 < found < np.inf:
        raise checks.ArgumentError(f"question={text!r}: got 'within {level}'; expected a number of steps above 0.")
    return found


def answers(ds: xr.Dataset, question: Question, order: tuple[str, ...]) -> list[Answers]:
    """Return what all runs answer, of several classes one after the other: each against all others.

    Args:
        order: the swept axes, in whose order runs are numbered.

    Raises:
        ArgumentError: for variables that are not there, or a level that no record could tell.
    """
    if question.classes is not None:
        return of_classes(ds, question, order)
    found = event_times(ds, question.event)
    low, high, code = (flat(found[name], order) for name in ("low", "high", "censoring"))
    last = float(ds["step"][-1])
    if question.level is None:
        sign = np.where(code == UNKNOWN, np.nan, np.where(code == INTERVAL, -1.0, 1.0))
        return [signed(question.text, sign)]
    if question.level >= last:
        raise checks.ArgumentError(f"question={question.text!r}: expected a level below the {last:.0f} steps of a run.")
    low = np.where(code == DIVERGED, last, low)  # never
    if question.since is not None:
        low, high = delays(ds, question.since, (low, high), last, order)
    return [Answers(question.text, *limited(low, high, question.level), True)]


def limited(low: np.ndarray, high: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Return log(T / level) of the ends of times; of one outside of the window only on which side it is."""
    edge = np.log(WINDOW)
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = (
            np.log(np.where(end > 0, end, np.where(np.isnan(end), np.nan, 0.0)) / level) for end in (low, high)
        )
    low = np.where(low < -edge, -np.inf, np.minimum(low, edge))
    return low, np.where(high > edge, np.inf, np.maximum(high, -edge))


def delays(
    ds: xr.Dataset, since: str, ends: tuple[np.ndarray, np.ndarray], last: float, order: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return between which ends delays since another event lie; a run that never saw that event has none: never."""
    found = event_times(ds, since)
    low, high = (flat(found[name], order) for name in ("low", "high"))
    never = np.isposinf(high)
    return np.where(never, last, ends[0] - high), np.where(never, np.inf, ends[1] - low)


def of_classes(ds: xr.Dataset, question: Question, order: tuple[str, ...]) -> list[Answers]:
    assert question.classes is not None
    classify, names = CLASSES[question.classes]
    code = flat(classify(ds)["phase"], order)
    wanted = [question.one] if question.one else [name for i, name in enumerate(names) if (code == i).any()]
    wanted = wanted[:1] if len(wanted) == 2 else wanted  # the boundary of two is that of either
    signs = {name: np.where(code == names.index(name), -1.0, 1.0) for name in wanted}
    return [signed(name, np.where(code == UNKNOWN, np.nan, sign)) for name, sign in signs.items()]


def signed(name: str, sign: np.ndarray) -> Answers:
    """Return answers of which the sign alone is known: -1 yes, 1 no."""
    low = np.where(sign < 0, -np.inf, np.where(sign > 0, 0.0, np.nan))
    return Answers(name, low, np.where(sign < 0, 0.0, np.where(sign > 0, np.inf, np.nan)), False)


def flat(array: xr.DataArray, order: tuple[str, ...]) -> np.ndarray:
    """Return one number a run, as float64."""
    return array.transpose(*order).values.astype(np.float64).ravel()
