"""Which runs of a batch a stop rule ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from grokdyn.spec.stop import StopRule

# One number larger than any step.
NEVER = np.iinfo(np.int64).max


class Watch:
    """Looks at what the lanes of a batch have recorded; of what a rule remembers, every record is looked at once.

    Args:
        rules: with their numbers stacked [lanes].
    """

    def __init__(self, rules: tuple[StopRule, ...], lanes: int):
        self.rules, self.seen = rules, 0
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
            if alone(rule):
                for lane in np.flatnonzero(trained):
                    found[lane] = min(found[lane], end_of(rule, int(lane), steps, records))
                continue
            fresh = {name: np.ascontiguousarray(records[name][:, self.seen : len(steps)].T) for name in rule.needs()}
            for i, step in enumerate(steps[self.seen :].tolist()):
                over = rule.over(step, {name: values[i] for name, values in fresh.items()}, memory)
                found[over] = np.minimum(found[over], step)
        self.seen = len(steps)
        return found

    def move(self, places: np.ndarray) -> None:
        """Follow lanes that were put into other places."""
        self.rules = jax.tree.map(lambda column: column[places], self.rules)
        self.memories = [{name: kept[places] for name, kept in memory.items()} for memory in self.memories]


def alone(rule: StopRule) -> bool:
    """Return whether a rule looks at one run at a time, and at all its records anew: it writes ``stops_at`` itself."""
    return type(rule).stops_at is not StopRule.stops_at


def end_of(rule: Any, lane: int, steps: np.ndarray, records: Mapping[str, np.ndarray]) -> int:
    """Return the step with which a rule ends one lane, or ``NEVER``."""
    own = jax.tree.map(lambda column: column[lane], rule)
    place = own.stops_at(steps, {name: records[name][lane, : len(steps)] for name in rule.needs()})
    return NEVER if place is None else int(steps[place])
