"""Which runs of a batch a stop rule ends."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import jax
import numpy as np

from grokdyn.spec.stop import StopRule

# One number larger than any step.
NEVER = np.iinfo(np.int64).max
NOTHING: Mapping[str, np.ndarray] = MappingProxyType({})


class Watch:
    """Looks at what the lanes of a batch have recorded; of what a rule remembers, every record is looked at once.

    A rule sees the records at which all that it needs was measured: to it there are no others.

    Args:
        rules: with their numbers stacked [lanes].
        measured_at: variable -> which records measure it, bool [records]; all do where it says nothing.
    """

    def __init__(self, rules: tuple[StopRule, ...], lanes: int, measured_at: Mapping[str, np.ndarray] = NOTHING):
        self.rules, self.seen, self.measured_at = rules, 0, measured_at
        self.memories = [{} if alone(rule) else rule.memory(lanes) for rule in rules]

    def ends(self, steps: np.ndarray, records: Mapping[str, np.ndarray], trained: np.ndarray) -> np.ndarray:
        """Return the step with which the first rule ended each lane, or ``NEVER`` [lanes].

        Args:
            steps: recorded so far [records].
            records: variable -> [lanes, at least so many records].
            trained: marks the lanes to look at [lanes]; of the others nothing is said.
        """
        found = np.full(len(trained), NEVER)
        for rule, memory in zip(self.rules, self.memories, strict=True):
            there = self.seen_by(rule, len(steps))
            if alone(rule):
                for lane in np.flatnonzero(trained):
                    found[lane] = min(found[lane], end_of(rule, int(lane), steps, records, there))
                continue
            new = there[there >= self.seen]
            fresh = {name: np.ascontiguousarray(records[name][:, new].T) for name in rule.needs()}
            for i, step in enumerate(steps[new].tolist()):
                over = rule.over(step, {name: values[i] for name, values in fresh.items()}, memory)
                found[over] = np.minimum(found[over], step)
        self.seen = len(steps)
        return found

    def seen_by(self, rule: StopRule, records: int) -> np.ndarray:
        """Return the places of the records that a rule sees, among so many."""
        marks = [self.measured_at[name][:records] for name in rule.needs() if name in self.measured_at]
        return np.flatnonzero(np.all(marks, axis=0)) if marks else np.arange(records)

    def move(self, places: np.ndarray) -> None:
        """Follow lanes that were put into other places."""
        self.rules = jax.tree.map(lambda column: column[places], self.rules)
        self.memories = [{name: kept[places] for name, kept in memory.items()} for memory in self.memories]


def alone(rule: StopRule) -> bool:
    """Return whether a rule looks at one run at a time, and at all its records anew: it writes ``stops_at`` itself."""
    return type(rule).stops_at is not StopRule.stops_at


def end_of(rule: Any, lane: int, steps: np.ndarray, records: Mapping[str, np.ndarray], there: np.ndarray) -> int:
    """Return the step with which a rule ends one lane, or ``NEVER``; ``there``: places of the records that it sees."""
    own = jax.tree.map(lambda column: column[lane], rule)
    place = own.stops_at(steps[there], {name: records[name][lane, there] for name in rule.needs()})
    return NEVER if place is None else int(steps[there][place])
