"""When a run is over before its last step: rules on what it has recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from grokdyn.spec.base import Spec, field
from grokdyn.spec.rules import Choice, Count, Name, Number

# A step that no run reaches, with room for steps to go on after it.
NEVER = 2**62


class StopRule(Spec):
    """Base of all rules. A rule sees the records of a run and nothing else, so its verdict depends on no batching.

    A rule of one's own writes ``needs`` and ``stops_at``, for one run; or ``needs``, ``memory`` and ``over``, for many
    runs at once and record by record, which costs thousands of runs a thousandth of the time.
    """

    def needs(self) -> Iterable[str]:
        """Return the variables that the rule reads."""
        raise NotImplementedError

    def stops_at(self, steps: np.ndarray, records: Mapping[str, np.ndarray]) -> int | None:
        """Return the place in ``steps`` of the last record that counts, or None while the run goes on.

        Args:
            steps: recorded steps so far [records].
            records: variable -> values so far [records].
        """
        memory = self.memory(1)
        for place, step in enumerate(np.asarray(steps).tolist()):
            seen = {name: np.asarray(records[name])[place : place + 1] for name in self.needs()}
            if self.over(step, seen, memory)[0]:
                return place
        return None

    def memory(self, runs: int) -> dict[str, np.ndarray]:
        """Return what is to be remembered between records, for runs of which nothing was seen [runs]."""
        return {}

    def over(self, step: int, values: Mapping[str, np.ndarray], memory: dict[str, np.ndarray]) -> np.ndarray:
        """Return whether this record is the last of each run, or one before was [runs]; bring the memory up to date.

        Args:
            step: of the record; records come in their order.
            values: variable -> what was recorded at this step [runs].
            memory: name -> [runs], changed in place or replaced.
        """
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

    def needs(self) -> Iterable[str]:
        return (self.variable,)

    def memory(self, runs: int) -> dict[str, np.ndarray]:
        return {"in_a_row": np.zeros(runs, np.int64), "since": np.full(runs, NEVER)}

    def over(self, step: int, values: Mapping[str, np.ndarray], memory: dict[str, np.ndarray]) -> np.ndarray:
        seen = values[self.variable]
        there = seen >= self.threshold if self.direction == ">=" else seen <= self.threshold
        memory["in_a_row"] = np.where(there, memory["in_a_row"] + 1, 0)
        first = (memory["in_a_row"] == self.records) & (memory["since"] == NEVER)
        memory["since"][first] = step
        return step >= memory["since"] + self.extra_steps


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

    def needs(self) -> Iterable[str]:
        return (self.fitted, self.progress)

    def memory(self, runs: int) -> dict[str, np.ndarray]:
        return {"best": np.full(runs, -np.inf), "last": np.full(runs, NEVER), "over": np.zeros(runs, bool)}

    def over(self, step: int, values: Mapping[str, np.ndarray], memory: dict[str, np.ndarray]) -> np.ndarray:
        progress = values[self.progress]
        rose = progress >= memory["best"] + self.by
        memory["best"] = np.where(rose, progress, memory["best"])
        fits = (memory["last"] == NEVER) & (values[self.fitted] >= self.fitted_at)
        begun = fits | (memory["last"] < NEVER)
        memory["last"] = np.where(fits | (begun & rose), step, memory["last"])
        memory["over"] |= begun & ~rose & (step - memory["last"] >= self.within)
        return memory["over"]
