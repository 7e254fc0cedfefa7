"""Rules for parts: descriptions of a family, named in a file by their kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from grokdyn.spec import base
from grokdyn.spec.declare import a, family_of
from grokdyn.spec.errors import Missing, SpecError, Words, nearest, shown
from grokdyn.spec.imports import imported, location
from grokdyn.spec.places import ALIASES, BASES, FAMILIES, PUBLIC_BASES
from grokdyn.spec.rules import Rule
from grokdyn.spec.values import a_list, listed

# Kinds that a message names.
MOST_TOLD = 12
# Where a class is -> its kind; asked for of every part that is written down or compared.
KIND_AT = {place: kind for kinds in FAMILIES.values() for kind, place in kinds.items()}


def kind_of(spec: Any) -> str:
    """Return the name under which a file can ask for the spec's class."""
    place = location(type(spec))
    return KIND_AT.get(place, place)


def kinds_told(family: str) -> str:
    """Return the kinds of a family for a message; of many the first, and where the others stand."""
    kinds = list(FAMILIES[family])
    if len(kinds) <= MOST_TOLD:
        return ", ".join(kinds)
    plural = family + ("es" if family.endswith("s") else "s")
    return ", ".join(kinds[:MOST_TOLD]) + f", ... ({len(kinds)}: grokdyn list {plural})"


def belongs(cls: Any, family: str) -> bool:
    """Return whether a class is a component of the family."""
    return isinstance(cls, type) and any(location(c) == BASES[family] for c in cls.__mro__)


@dataclass(frozen=True)
class Part(Rule):
    """A description of a family: an instance, a table with ``kind``, or just the kind's name."""

    family: str
    node = True

    @property
    def allowed(self) -> str:
        return f"{a(self.family)}: kind = {kinds_told(self.family)}"

    def decode(self, value: Any, path: str) -> Any:
        if belongs(type(value), self.family):
            return base.check(value, path)
        raw = {"kind": value} if isinstance(value, str) else value
        if not isinstance(raw, Mapping) or not all(isinstance(key, str) for key in raw):
            raise SpecError(path, value, self.allowed, self.meant(value))
        raw = self.expanded(raw, path)
        kind = raw.get("kind", Missing())
        cls = self.named(kind, f"{path}.kind")
        return base.decode(cls, {key: item for key, item in raw.items() if key != "kind"}, path)

    def expanded(self, raw: Mapping[str, Any], path: str) -> Mapping[str, Any]:
        """Return ``{every = 50}`` as ``{kind = "every", steps = 50}`` where the family is written that way."""
        if self.family != "record" or "kind" in raw:
            return raw
        known = [kind for kind in raw if kind in FAMILIES["record"]]
        if len(known) > 1:
            alone = f"{{{known[-1]} = {shown(raw[known[-1]])}}}"
            raise SpecError(path, Words(" and ".join(known)), f"one of them alone: {alone}")
        if len(raw) == 1:
            ((kind, value),) = raw.items()
            if not known:
                raise SpecError(f"{path}.kind", Missing(), self.allowed, nearest(kind, FAMILIES["record"]))
            first, rule = next(iter(base.rules(self.named(kind, kind)).items()))
            return {"kind": kind, first: rule.decode(value, f"{path}.{kind}")}  # a mistake is told as it was written
        return raw

    def named(self, kind: Any, path: str) -> type:
        kinds = FAMILIES[self.family]
        if isinstance(kind, str):
            kind = ALIASES.get(self.family, {}).get(kind, kind)
        if isinstance(kind, str) and kind in kinds:
            return imported(kinds[kind], path, self.allowed)
        if isinstance(kind, str) and ":" in kind:
            cls = imported(kind, path, self.allowed)
            if belongs(cls, self.family):
                return cls
            raise SpecError(path, kind, self.allowed, self.meant(cls))
        raise SpecError(path, kind, self.allowed, nearest(kind, kinds) if isinstance(kind, str) else "")

    def meant(self, value: Any) -> str:
        """Return what to write in place of an object that is no part of the family."""
        public, cls = f"gd.{PUBLIC_BASES[self.family]}", value if isinstance(value, type) else type(value)
        if belongs(cls, self.family):
            return f"an instance: {cls.__name__}()"
        other = family_of(cls)
        if other:
            return f"{cls.__name__} is {a(other)}, as its base {cls.__mro__[1].__name__} is: extend {public}"
        own = isinstance(value, type) or (hasattr(value, "__dict__") and not callable(value))
        return f"a class of your own extends {public}" if own else ""

    def encode(self, value: Any) -> Any:
        kind, fields = kind_of(value), base.encode(value)
        if self.family == "record" and kind in FAMILIES["record"]:
            return {kind: next(iter(fields.values()))}
        return {"kind": kind, **fields}


@dataclass(frozen=True)
class Parts(Rule):
    """A list of descriptions of one family, each kind ``once`` under every ``name``, or as often as wanted."""

    family: str
    once: bool = True
    node = True

    @property
    def allowed(self) -> str:
        return f"a list of {self.family}s: {kinds_told(self.family)}"

    def decode(self, value: Any, path: str) -> tuple[Any, ...]:
        items = listed(value)
        if not isinstance(items, list):
            raise SpecError(path, value, self.allowed, a_list(value))
        parts = tuple(Part(self.family).decode(item, f"{path}[{i}]") for i, item in enumerate(items))
        known = [(kind_of(part), getattr(part, "name", None)) for part in parts]
        for i, (kind, name) in enumerate(known):
            if self.once and (kind, name) in known[:i]:
                raise SpecError(f"{path}[{i}]", kind, f"each {self.family} once, or under a name of its own")
        return parts

    def encode(self, value: Any) -> list[Any]:
        items = [Part(self.family).encode(part) for part in value]
        return [item["kind"] if set(item) == {"kind"} else item for item in items]


@dataclass(frozen=True)
class Table(Rule):
    """A description of one known class, written as a table without ``kind``."""

    cls: type
    node = True

    @property
    def allowed(self) -> str:
        return "a table of " + ", ".join(base.rules(self.cls))

    def decode(self, value: Any, path: str) -> Any:
        if isinstance(value, self.cls):
            return base.check(value, path)
        if not isinstance(value, Mapping):
            raise SpecError(path, value, self.allowed)
        return base.decode(self.cls, value, path)

    def encode(self, value: Any) -> dict[str, Any]:
        return base.encode(value)


@dataclass(frozen=True)
class Tables(Rule):
    """A list of descriptions of one known class."""

    cls: type
    node = True

    @property
    def allowed(self) -> str:
        return "a list, not empty, of tables of " + ", ".join(base.rules(self.cls))

    def decode(self, value: Any, path: str) -> tuple[Any, ...]:
        items = listed(value)
        if not isinstance(items, list) or not items:
            raise SpecError(path, value, self.allowed, a_list(value))
        return tuple(Table(self.cls).decode(item, f"{path}[{i}]") for i, item in enumerate(items))

    def encode(self, value: Any) -> list[Any]:
        return [Table(self.cls).encode(item) for item in value]
