"""Stop rules: looked at record by record for many runs, or all at once for one, the verdict is the same."""

import jax
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import grokdyn as gd
from grokdyn.engine.loop.watch import NEVER, Watch
from grokdyn.spec.base import field
from grokdyn.spec.rules import Number
from grokdyn.spec.stop import StopRule

LANES = 5
VALUES = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, -np.inf, np.inf, np.nan])
THRESHOLDS = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=LANES, max_size=LANES).map(np.asarray)
WHEN = st.builds(gd.When, st.just("a"), THRESHOLDS, st.sampled_from([">=", "<="]), st.integers(1, 4), st.integers(0, 9))
STALLED = st.builds(gd.Stalled, st.just("a"), THRESHOLDS, st.just("b"), THRESHOLDS, st.integers(1, 12))


class Sum(StopRule):
    """A rule of a user's own, written for one run: the record with which the sum of a variable reaches a limit."""

    limit: float = field(Number(), default=1.0, doc="the limit")

    def needs(self):
        return ("b",)

    def stops_at(self, steps, records):
        there = np.flatnonzero(np.nancumsum(np.clip(records["b"], 0, 1)) >= self.limit)
        return int(there[0]) if len(there) else None


class Sooner(gd.When):
    """A user's own that goes by one run, though the rule that it is made from goes by many."""

    def stops_at(self, steps, records):
        place = super().stops_at(steps, records)
        return None if place is None else place // 2


def transcribed(rule, steps, records):
    """Return the place where a rule stops one run, looking at all its records from the first."""
    if isinstance(rule, Sum | Sooner):
        return rule.stops_at(steps, records)
    if isinstance(rule, gd.When):
        seen, run = records[rule.variable], 0
        for i, value in enumerate(seen):
            run = run + 1 if (value >= rule.threshold if rule.direction == ">=" else value <= rule.threshold) else 0
            if run == rule.records:
                late = np.flatnonzero(steps >= steps[i] + rule.extra_steps)
                return int(late[0]) if len(late) else None
        return None
    fitted = np.flatnonzero(records[rule.fitted] >= rule.fitted_at)
    if not len(fitted):
        return None
    best, last = -np.inf, int(fitted[0])
    for i, value in enumerate(records[rule.progress]):
        if value >= best + rule.by:
            best, last = value, max(i, last)
        elif i > last and steps[i] - steps[last] >= rule.within:
            return i
    return None


@st.composite
def recorded(draw):
    """Draw steps, the records of all lanes, and where chunks end."""
    steps = np.cumsum(draw(st.lists(st.integers(1, 5), min_size=1, max_size=25)))
    table = st.lists(VALUES, min_size=LANES * len(steps), max_size=LANES * len(steps))
    records = {name: np.asarray(draw(table)).reshape(LANES, -1) for name in "ab"}
    ends = draw(st.lists(st.integers(0, len(steps)), max_size=4))
    return steps, records, sorted({*ends, len(steps)})


@settings(deadline=None, derandomize=True)
@given(recorded(), st.lists(WHEN | STALLED | st.builds(Sum, THRESHOLDS), max_size=3), st.permutations(range(LANES)))
def test_rules_seen_chunk_by_chunk_stop_every_run_where_they_do_alone(found, rules, places):
    steps, records, chunks = found
    watch, lanes, stops = Watch(tuple(rules), LANES), np.arange(LANES), np.full(LANES, NEVER)
    for end in chunks:
        hidden = {name: np.where(np.arange(len(steps)) < end, v, np.nan)[lanes] for name, v in records.items()}
        going = stops[lanes] == NEVER
        ends = watch.ends(steps[:end], hidden, going)
        stops[lanes[going]] = ends[going]
        watch.move(np.asarray(places))
        lanes = lanes[np.asarray(places)]
    for lane in range(LANES):
        alone = [jax.tree.map(lambda column, i=lane: column[i], rule) for rule in rules]
        own = {name: values[lane] for name, values in records.items()}
        assert [rule.stops_at(steps, own) for rule in alone] == [transcribed(rule, steps, own) for rule in alone]
        all_places = [place for rule in alone if (place := transcribed(rule, steps, own)) is not None]
        assert stops[lane] == min((steps[place] for place in all_places), default=NEVER)


def test_a_rule_made_from_another_is_asked_itself():
    steps, records = np.arange(8), {"a": np.tile([0.0, 0, 0, 0, 1, 1, 1, 1], (2, 1))}
    rules = [cls("a", np.asarray([0.5, 0.5]), ">=", 1, 0) for cls in (gd.When, Sooner)]
    first, second = (Watch((rule,), 2).ends(steps, records, np.ones(2, bool)).tolist() for rule in rules)
    assert (first, second) == ([4, 4], [2, 2])
