"""What a class of descriptions may declare: told when the class is made, in one line, not when it is run.

Also how one is made: its own fields in order, those it inherits from its family by name alone.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from grokdyn.spec.errors import Missing, SpecError, Words, nearest
from grokdyn.spec.places import BASES, PUBLIC_BASES
from grokdyn.spec.rules import Rule

# What a class of each family defines.
METHODS = {
    "task": ("signature", "table", "draw"),
    "model": ("initial", "apply"),
    "loss": ("rows",),
    "optimizer": ("direction", "transform", "update"),
    "schedule": ("factor",),
    "probe": ("variables", "measure"),
    "transform": ("apply",),
    "stop": ("stops_at",),
    "record": ("at",),
    "intervention": ("applied",),
}
# The rule that a default suggests.
RULES = ((bool, "Flag()"), (int, "Count()"), (float, "Number()"), (str, "Choice((...))"), (tuple, "Counts()"))


def family_of(cls: type) -> str:
    """Return the family that a class belongs to, or nothing."""
    places = {f"{c.__module__}:{c.__qualname__}" for c in cls.__mro__}
    return next((family for family, place in BASES.items() if place in places), "")


def a(family: str) -> str:
    return f"{'an' if family[0] in 'aeiou' else 'a'} {family}"


def check_class(cls: type, inherited: Mapping[str, Rule]) -> None:
    """Raise SpecError where what a class declares would not do what it seems to.

    Args:
        inherited: the fields of its base classes.
    """
    annotated = {name for name, kind in inspect.get_annotations(cls).items() if "ClassVar" not in str(kind)}
    for name in annotated:
        rule = declared_rule(cls, name)
        if rule is None:
            raise SpecError(f"{cls.__name__}.{name}", Words("an annotation without gd.field"), example(cls, name))
        if name in inherited:
            check_same(cls, name, rule, inherited[name])
        elif (owner := next((base for base in cls.__mro__[1:-1] if name in vars(base)), None)) is not None:
            came = Words(f"a field called like {owner.__name__}.{name}, which it would hide")
            raise SpecError(f"{cls.__name__}.{name}", came, "another name")
    for name, value in vars(cls).items():
        if isinstance(value, dataclasses.Field) and name not in annotated:
            raise SpecError(f"{cls.__name__}.{name}", Words("gd.field without an annotation"), example(cls, name))
        if name in inherited and name not in annotated:
            came = Words("a plain attribute called like an inherited field, which would keep its own default")
            raise SpecError(f"{cls.__name__}.{name}", came, example(cls, name))
    if "__init__" in vars(cls):
        came = Words("an __init__ of its own")
        raise SpecError(cls.__name__, came, "fields, as in name: float = gd.field(gd.rules.Number(), default=1.0)")
    check_base(cls)


def declared_rule(cls: type, name: str) -> Rule | None:
    value = vars(cls).get(name)
    return value.metadata.get("rule") if isinstance(value, dataclasses.Field) else None


def check_same(cls: type, name: str, rule: Rule, before: Rule) -> None:
    """Raise SpecError where a field declared anew would hold something else than those who read it expect."""
    mine, theirs = (getattr(r, "inner", r) for r in (rule, before))
    if type(mine) is not type(theirs) or getattr(mine, "family", "") != getattr(theirs, "family", ""):
        came = Words(f"a field called like an inherited one, of {type(mine).__name__}")
        raise SpecError(f"{cls.__name__}.{name}", came, f"another name, or {type(theirs).__name__} as there")


def example(cls: type, name: str) -> str:
    """Return the line that would declare a field."""
    value = vars(cls).get(name, dataclasses.MISSING)
    kind, rule = next(((k.__name__, r) for k, r in RULES if isinstance(value, k)), ("float", "Number()"))
    simple = isinstance(value, bool | int | float | str | tuple)
    default = f", default={value!r}" if simple else ""
    return f"{name}: {kind} = gd.field(gd.rules.{rule}{default})"


def check_base(cls: type) -> None:
    """Raise SpecError where a class defines what another family's classes do, and nothing that its own family's do."""
    family = family_of(cls)
    if not family or any(name in vars(cls) for name in METHODS[family]):
        return
    for other, methods in METHODS.items():
        for name in methods:
            if other != family and callable(vars(cls).get(name)):
                base = next(c for c in cls.__mro__[1:])
                came = Words(f"{name}, which {a(other)} defines, in a subclass of {base.__name__}, {a(family)}")
                raise SpecError(cls.__name__, came, f"gd.{PUBLIC_BASES[other]} as the base of {a(other)}")


def telling_init(cls: type, table: Mapping[str, Rule]) -> Callable[..., None]:
    """Return the ``__init__`` of a class with its mistakes told as those of a file are."""
    plain = cls.__init__

    @functools.wraps(plain)
    def init(self: Any, *args: Any, **values: Any) -> None:
        try:
            plain(self, *args, **values)
        except TypeError:
            raise refusal(cls, table, args, values) from None

    return init


def refusal(cls: type, table: Mapping[str, Rule], args: tuple, values: Mapping[str, Any]) -> SpecError:
    """Return the error of a call that names fields which are not there, leaves some out, or too many without a name."""
    name, fields = cls.__name__, dataclasses.fields(cls)  # pyright: ignore[reportArgumentType]
    for key in values:
        if key not in table:
            return SpecError(f"{name}.{key}", Words("an unknown field"), ", ".join(table), nearest(key, table))
    ordered = [field.name for field in fields if not field.kw_only]
    if len(args) > len(ordered):
        came = Words(f"{len(args)} value{'s' if len(args) > 1 else ''} without a name")
        some = f"at most {len(ordered)} ({', '.join(ordered)}), others by name" if ordered else "values by name"
        return SpecError(name, came, f"{some}: {', '.join(table)}")
    for key in ordered[: len(args)]:
        if key in values:
            return SpecError(f"{name}.{key}", Words("two values"), "one")
    given = {*ordered[: len(args)], *values}
    for field in fields:
        if field.default is dataclasses.MISSING and field.name not in given:
            return SpecError(f"{name}.{field.name}", Missing(), table[field.name].allowed)
    return SpecError(name, Words("values that do not fit"), ", ".join(table))
