"""Random valid descriptions, made from the rules of the fields, so that new components are covered as they come."""

from __future__ import annotations

import math
import string

from hypothesis import strategies as st

import grokdyn as gd
from grokdyn.spec import base, kinds, rules
from grokdyn.spec.imports import imported
from grokdyn.spec.numbers import Numbers
from grokdyn.spec.patterns import Pattern
from grokdyn.spec.places import KINDS

# Characters of names and patterns: without them hypothesis looks up all that Unicode has.
WORD = f"{string.ascii_letters}{string.digits}_*?"


def values(rule, nested=True):
    """Return a strategy of values that a rule accepts, in their declared type.

    Parts that hold parts of their own family are drawn where ``nested``, which keeps descriptions small.
    """
    if isinstance(rule, rules.Number):
        ends = {
            "min_value": None if rule.low == -math.inf else rule.low,
            "max_value": None if rule.high == math.inf else rule.high,
        }
        opened = {"exclude_min": rule.open_low, "exclude_max": rule.open_high}
        return st.floats(**ends, **opened, allow_nan=False, allow_infinity=False)
    if isinstance(rule, rules.Integer | rules.Count):
        return st.integers(rule.low, rule.high)
    if isinstance(rule, rules.Counts):
        whole = st.lists(st.integers(rule.low, rule.high), min_size=0 if rule.empty else 1, max_size=4, unique=True)
        return whole.map(sorted if rule.increasing else list).map(tuple)
    if isinstance(rule, Numbers):
        one = values(rules.Number(rule.low, open_low=rule.open_low))
        return st.lists(one, min_size=1, max_size=4, unique=True).map(sorted).map(tuple)
    if isinstance(rule, rules.Choice | rules.Function):
        return st.sampled_from(rule.options)
    if isinstance(rule, rules.Choices):
        return st.lists(st.sampled_from(rule.options), min_size=1, max_size=4, unique=True).map(tuple)
    if isinstance(rule, rules.Name | rules.Names):
        name = st.from_regex(r"[a-z_][a-z_0-9]{0,20}", fullmatch=True, alphabet=WORD)
        return name if isinstance(rule, rules.Name) else st.lists(name, max_size=3, unique=True).map(tuple)
    if isinstance(rule, rules.Flag):
        return st.booleans()
    if isinstance(rule, rules.Optional):
        return st.none() | values(rule.inner, nested)
    if isinstance(rule, kinds.Part):
        return st.sampled_from(classes(rule.family, nested)).flatmap(part)
    if isinstance(rule, kinds.Parts):
        some = st.lists(st.sampled_from(classes(rule.family)), unique=rule.once, max_size=8)
        return some.flatmap(lambda found: st.tuples(*map(part, found)))
    if isinstance(rule, kinds.Table):
        return specs(rule.cls)
    if isinstance(rule, kinds.Tables):
        return st.lists(specs(rule.cls), min_size=1, max_size=3).map(tuple)
    if isinstance(rule, Pattern):
        return st.from_regex(r"[A-Za-z_*][A-Za-z_0-9*?]{0,10}", fullmatch=True, alphabet=WORD)
    raise TypeError(f"no strategy for {rule}")


def classes(family, nested=True):
    found = [imported(place, family, "") for place in KINDS[family].values()]
    return [cls for cls in found if nested or not nests(cls)]


def nests(cls):
    """Return whether components of a class hold parts of their own family."""
    inner = {rule.family for rule in base.rules(cls).values() if isinstance(rule, kinds.Part)}
    return any(kinds.belongs(cls, family) for family in inner)


def part(cls):
    return specs(cls, nested=not nests(cls))


def specs(cls, nested=True):
    """Return a strategy of specs of a class whose fields obey their rules one by one."""
    return st.builds(cls, **{name: values(rule, nested) for name, rule in base.rules(cls).items()})


def valid(spec):
    try:
        base.check(spec)
    except gd.SpecError:  # a rule between fields
        return False
    return True


def experiments():
    """Return a strategy of valid experiments."""
    return specs(gd.Experiment).map(in_time).filter(valid)


def in_time(experiment):
    """Return the experiment with recorded steps that its length allows."""
    if isinstance(experiment.record, gd.At):
        return experiment.replace(steps=max(experiment.steps, experiment.record.steps[-1], 1))
    if isinstance(experiment.record, gd.Every):  # few enough records
        return experiment.replace(record=gd.Every(max(experiment.record.steps, experiment.steps // 1000, 1)))
    return experiment


def axes(experiment):
    """Return a strategy of axes, path -> values, for numbers and structure of an experiment alike."""
    paths = [path for path, rule in fields(experiment) if not isinstance(rule, kinds.Parts)]
    return st.lists(st.sampled_from(paths), unique=True, max_size=3).flatmap(
        lambda chosen: st.fixed_dictionaries({path: axis(experiment, path) for path in chosen})
    )


def axis(experiment, path):
    rule = base.find(experiment, path)[2]
    return st.lists(values(getattr(rule, "inner", rule)), min_size=1, max_size=3, unique=True).map(tuple)


def fields(spec, path=""):
    """Yield the dotted path and rule of every field of a spec and of its parts."""
    for name, rule in base.rules(type(spec)).items():
        yield base.join(path, name), rule
        owner = getattr(spec, name)
        if isinstance(owner, base.Spec):
            yield from fields(owner, base.join(path, name))
