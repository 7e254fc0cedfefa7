"""When a run is over before its last step: rules on what it has recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from grokdyn.spec.base import Spec, field
from grokdyn.spec.rules import Choice, Count, Name, Number


class StopRule(Spec):
    """Base of all rules. A rule sees the records of a run and nothing else, so its verdict depends on no batching."""

    def stops_at(self, steps: np.ndarray, records: Mapping[str, np.ndarray]) -> int | None:
        """Return the place in ``steps`` of the last record that counts, or None while the run goes on.

        Args:
            steps: recorded steps so far [records].
            records: variable -> values so far [records].
        """
        raise NotImplementedError

    def needs(self) -> Iterable[str]:
        """Return the variables that the rule reads."""
        raise NotImplementedError


class When(StopRule):
    """Stop once a variable has been at a threshold for some records in a row, and some steps later.

    The run ends with the first record at least ``extra_steps`` after the last of those records.
    """

    variable: str = field(Name(), default="test_accuracy", doc="what is watched")
    threshold: float = field(Number(), default=0.99, doc="where it counts")
    direction: str = field(Choice((">=", "<=")), default=">=", doc="which side of it")
    records: int = field(Count(), default=3, doc="records in a row")
    extra_steps: int = field(Count(low=0), default=0, doc="steps to go on afterwards")

    def stops_at(self, steps: np.ndarray, records: Mapping[str, np.ndarray]) -> int | None:
        values = records[self.variable]
        there = values >= self.threshold if self.direction == ">=" else values <= self.threshold
        return after(steps, first_streak(there, self.records), self.extra_steps)

    def needs(self) -> Iterable[str]:
        return (self.variable,)


class Stalled(StopRule):
    """Stop a run that has fitted and makes no progress.

    Once ``fitted`` has reached ``fitted_at``, the run ends at the first record at least ``within`` steps after the last
    one that raised the best value of ``progress`` by ``by``.
    """

    fitted: str = field(Name(), default="train_accuracy", doc="what tells that the run has fitted")
    fitted_at: float = field(Number(), default=0.99, doc="from where on it has")
    progress: str = field(Name(), default="test_accuracy", doc="what should go on rising")
    by: float = field(Number(0), default=0.01, doc="a smaller rise is no progress")
    within: int = field(Count(), default=10_000, doc="steps without progress that end the run")

    def stops_at(self, steps: np.ndarray, records: Mapping[str, np.ndarray]) -> int | None:
        fitted = np.flatnonzero(records[self.fitted] >= self.fitted_at)
        if not len(fitted):
            return None
        best, last = -np.inf, int(fitted[0])
        for i, value in enumerate(records[self.progress]):
            if value >= best + self.by:
                best, last = value, max(i, last)
            elif i > last and steps[i] - steps[last] >= self.within:
                return i
        return None

    def needs(self) -> Iterable[str]:
        return (self.fitted, self.progress)


def first_streak(there: np.ndarray, length: int) -> int | None:
    """Return the place where ``length`` true values in a row are first complete."""
    run = 0
    for i, true in enumerate(there):
        run = run + 1 if true else 0
        if run == length:
            return i
    return None


def after(steps: np.ndarray, place: int | None, extra: int) -> int | None:
    """Return the place of the first record at least ``extra`` steps after the one at ``place``."""
    if place is None:
        return None
    late = np.flatnonzero(steps >= steps[place] + extra)
    return int(late[0]) if len(late) else None
