"""The base of every description: frozen dataclasses that are pytrees.

A field is one of two things. A *number* is a leaf: a sweep may vary it without a recompile. Everything else is
*structure*: it belongs to the tree's definition and therefore to what gets compiled. The field's rule says which.

Rules are applied by ``check`` at the public edge (file, command line, ``run``) and never while JAX rebuilds a tree
around tracers, so construction itself does nothing but store.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Iterator, Mapping
from typing import Any, dataclass_transform

from grokdyn.spec import identity
from grokdyn.spec.declare import check_class, telling_init
from grokdyn.spec.errors import Missing, SpecError, Words, nearest
from grokdyn.spec.rules import Rule

# Dots in a path. A part may hold a part of its own family; much deeper would exhaust Python's stack.
DEEPEST = 20
# Class -> the rules and defaults of its fields, asked for a few times a run of a sweep; a class that is gone is
# forgotten.
RULES: weakref.WeakKeyDictionary[type, dict[str, Rule]] = weakref.WeakKeyDictionary()
DEFAULTS: weakref.WeakKeyDictionary[type, dict[str, Any]] = weakref.WeakKeyDictionary()


def field(rule: Rule, *, default: Any = dataclasses.MISSING, doc: str = "", kw_only: Any = dataclasses.MISSING) -> Any:
    """Declare a field of a spec with the rule that its values obey.

    Args:
        rule: what values are allowed, such as ``gd.Number(0)`` (a leaf, which sweeps may vary) or ``gd.Count()``.
        default: without one the field must be given.
        doc: what it is, with units, as ``grokdyn list`` shows it.
        kw_only: given by name alone, as those are that a family's base gives all its members.

    Returns:
        what a class body binds to the field's name. Raises nothing: values are checked when an
        instance is made.
    """
    return dataclasses.field(default=default, metadata={"rule": rule, "doc": doc}, kw_only=kw_only)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Spec:
    """Base class of all descriptions; a subclass becomes a frozen dataclass and a pytree.

    Subclasses declare fields with ``field(rule, default=...)`` and may override ``problems`` for rules between fields.
    """

    by_name = False  # True for a family whose members take all fields by name alone

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        inherited = {
            f.name: f for c in reversed(cls.__mro__[1:]) if dataclasses.is_dataclass(c) for f in dataclasses.fields(c)
        }
        check_class(cls, {name: f.metadata["rule"] for name, f in inherited.items()})
        for name in inherited.keys() & vars(cls).keys():  # declared anew, it stays as it is given
            vars(cls)[name].kw_only = inherited[name].kw_only
        dataclasses.dataclass(frozen=True, kw_only=cls.by_name, repr=False)(cls)
        table = rules(cls)
        cls.__init__ = telling_init(cls, table)
        nodes = tuple(name for name, rule in table.items() if rule.node)
        identity.register(cls, nodes, tuple(name for name in table if name not in nodes))

    def __repr__(self) -> str:
        """Return what makes it, without those fields of a whole family that are as they are by default."""
        fields = dataclasses.fields(self)  # pyright: ignore[reportArgumentType]
        shown = [f.name for f in fields if self.by_name or not f.kw_only or not is_default(self, f)]
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        """Yield ``(field, what came, what is allowed)`` for every rule between fields that is broken."""
        return iter(())

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        """Yield ``(field, why)`` for every field that others leave without effect in a run of so many updates.

        An axis along it is then refused, and one that is set to something other than its default is told.
        """
        return iter(())

    def replace(self, **changes: Any) -> Any:
        """Return a copy with fields changed; dotted paths work as ``replace(**{"optimizer.b2": 0.98})``."""
        result = self
        for path, value in changes.items():
            result = put(result, path, value)
        return result


def is_default(spec: Any, f: Any) -> bool:
    """Return whether a field, one of ``dataclasses.fields``, has the very value that it has by default."""
    return getattr(spec, f.name) is f.default


def rules(cls: type) -> dict[str, Rule]:
    """Return the rule of every field of a spec class, in order."""
    known = RULES.get(cls)
    if known is None:
        known = RULES[cls] = {f.name: f.metadata["rule"] for f in dataclasses.fields(cls)}
    return known


def defaults(cls: type) -> dict[str, Any]:
    """Return the default of every field that has one."""
    known = DEFAULTS.get(cls)
    if known is None:
        found = {f.name: f.default for f in dataclasses.fields(cls)}
        known = DEFAULTS[cls] = {name: value for name, value in found.items() if value is not dataclasses.MISSING}
    return known


def check(spec: Any, path: str = "") -> Any:
    """Return the spec with every value brought to its declared type.

    Raises:
        SpecError: naming the first field that breaks a rule.
    """
    values = {name: getattr(spec, name) for name in rules(type(spec))}
    return decode(type(spec), values, path)


def decode(cls: type, raw: Mapping[str, Any], path: str = "") -> Any:
    """Build a spec of class ``cls`` from a mapping of raw (TOML or Python) values.

    Raises:
        SpecError: for an unknown key, a missing one, or a value that its rule refuses.
    """
    if path.count(".") > DEEPEST:
        raise SpecError(path, Words("parts within parts"), f"at most {DEEPEST} levels")
    table = rules(cls)
    for key in raw:
        if key not in table:
            allowed = ", ".join(table) or "no fields"
            raise SpecError(join(path, str(key)), Words("an unknown key"), allowed, nearest(str(key), table))
    known = defaults(cls)
    values = {}
    for name, rule in table.items():
        if name not in raw and name not in known:
            raise SpecError(join(path, name), Missing(), rule.allowed)
        values[name] = rule.decode(raw[name] if name in raw else known[name], join(path, name))
    spec = cls(**values)
    for name, came, allowed in broken(spec):
        raise SpecError(join(path, name), came, allowed)
    return spec


def broken(spec: Any) -> Iterator[tuple[str, Any, str]]:
    """Yield the rules between fields that a spec breaks, those of its base classes too where a subclass has its own."""
    for cls in reversed(type(spec).__mro__):
        if "problems" in vars(cls):
            yield from cls.problems(spec)


def encode(spec: Any) -> dict[str, Any]:
    """Return the spec as plain values ready for TOML; fields that are None are left out."""
    values = {name: (rule, getattr(spec, name)) for name, rule in rules(type(spec)).items()}
    return {name: rule.encode(value) for name, (rule, value) in values.items() if value is not None}


def join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def find(spec: Any, path: str) -> tuple[Any, str, Rule]:
    """Return the spec that owns the last element of a dotted path, that element, and its rule.

    Raises:
        SpecError: if the path does not exist, naming the nearest field.
    """
    owner, walked = spec, ""
    *parents, last = path.split(".")
    for depth, step in enumerate((*parents, last)):
        name, place = indexed(step)
        if not isinstance(owner, Spec):
            raise SpecError(path, Words(f"a path below {walked or 'the experiment'!r}"), "a path that exists")
        table = rules(type(owner))
        if name not in table:
            where = join(walked, name)
            raise SpecError(where, Words("a path that does not exist"), ", ".join(table), nearest(name, table))
        rule = table[name]
        if depth == len(parents) and place is None:
            return owner, last, rule
        owner, walked = getattr(owner, name), join(walked, name)
        if place is not None:
            if not isinstance(owner, tuple) or place >= len(owner) or depth == len(parents):
                count = len(owner) if isinstance(owner, tuple) else 0
                where = Words(f"a place among {count} parts of {walked}")
                raise SpecError(path, where, "a field of one that is there: transforms[0].alpha")
            owner, walked = owner[place], f"{walked}[{place}]"
    raise AssertionError("unreachable: a path has a last element")


def put(spec: Any, path: str, value: Any) -> Any:
    """Return a copy of the spec with the field at a dotted path set."""
    find(spec, path)
    head, _, rest = path.partition(".")
    head, place = indexed(head)
    part = getattr(spec, head)
    if place is not None:
        value = tuple(put(one, rest, value) if i == place else one for i, one in enumerate(part))
    elif rest:
        value = put(part, rest, value)
    return dataclasses.replace(spec, **{head: value})


def indexed(step: str) -> tuple[str, int | None]:
    """Return a step of a path as a field's name and, as in ``transforms[0]``, a place in it."""
    name, bracket, rest = step.partition("[")
    return (name, int(rest[:-1])) if bracket and rest[:-1].isdigit() and rest.endswith("]") else (step, None)
