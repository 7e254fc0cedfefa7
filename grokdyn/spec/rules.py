"""What a field may hold: each rule turns a raw value into the declared type, or says why not."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from grokdyn.spec.errors import SpecError, nearest
from grokdyn.spec.imports import imported, location
from grokdyn.spec.values import a_list, finite, listed, plain, whole_set


@dataclass(frozen=True)
class Rule:
    """A field's type. ``node`` tells whether the field is a child of the pytree (numbers and parts are)."""

    node = False

    @property
    def allowed(self) -> str:
        raise NotImplementedError

    def decode(self, value: Any, path: str) -> Any:
        raise NotImplementedError

    def encode(self, value: Any) -> Any:
        return value


@dataclass(frozen=True)
class Number(Rule):
    """A float leaf in an interval; ``open_low``/``open_high`` exclude the ends."""

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    node = True

    @property
    def allowed(self) -> str:
        parts = []
        if self.low > -math.inf:
            parts.append(f"{'above' if self.open_low else 'at least'} {self.low:g}")
        if self.high < math.inf:
            parts.append(f"{'below' if self.open_high else 'at most'} {self.high:g}")
        return "a finite number" + (" " + " and ".join(parts) if parts else "")

    def decode(self, value: Any, path: str) -> float:
        number = plain(value)
        if isinstance(number, bool) or not isinstance(number, int | float) or not finite(number):
            raise SpecError(path, value, self.allowed)
        too_low = number <= self.low if self.open_low else number < self.low
        too_high = number >= self.high if self.open_high else number > self.high
        if too_low or too_high:
            raise SpecError(path, number, self.allowed)
        return float(number)


def whole(value: Any, path: str, allowed: str, low: int, high: int) -> int:
    number = plain(value)
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
        raise SpecError(path, value, allowed)
    return number


@dataclass(frozen=True)
class Integer(Rule):
    """A whole-number leaf, such as a seed."""

    low: int = 0
    high: int = 2**32 - 1
    node = True

    @property
    def allowed(self) -> str:
        return f"a whole number from {self.low} to {self.high}"

    def decode(self, value: Any, path: str) -> int:
        return whole(value, path, self.allowed, self.low, self.high)


@dataclass(frozen=True)
class Count(Rule):
    """A whole number that shapes the program."""

    low: int = 1
    high: int = 10**9

    @property
    def allowed(self) -> str:
        return f"a whole number from {self.low} to {self.high}"

    def decode(self, value: Any, path: str) -> int:
        return whole(value, path, self.allowed, self.low, self.high)


@dataclass(frozen=True)
class Counts(Rule):
    """A list of whole numbers."""

    low: int = 1
    high: int = 10**9
    increasing: bool = False
    empty: bool = False

    @property
    def allowed(self) -> str:
        order = "strictly increasing " if self.increasing else ""
        return f"a list of {order}whole numbers from {self.low} to {self.high}" + ("" if self.empty else ", not empty")

    def decode(self, value: Any, path: str) -> tuple[int, ...]:
        items = sorted(value) if self.increasing and whole_set(value) else listed(value)
        if not isinstance(items, list):
            raise SpecError(path, value, self.allowed, a_list(value))
        numbers = tuple(whole(item, f"{path}[{i}]", self.allowed, self.low, self.high) for i, item in enumerate(items))
        bad_order = self.increasing and any(b <= a for a, b in itertools.pairwise(numbers))
        if bad_order or not (numbers or self.empty):
            raise SpecError(path, value, self.allowed)
        return numbers

    def encode(self, value: Any) -> list[int]:
        return list(value)


@dataclass(frozen=True)
class Choice(Rule):
    """One of a few words."""

    options: tuple[str, ...]

    @property
    def allowed(self) -> str:
        return "one of " + ", ".join(self.options)

    def decode(self, value: Any, path: str) -> str:
        if not isinstance(value, str) or value not in self.options:
            raise SpecError(path, value, self.allowed, nearest(value, self.options) if isinstance(value, str) else "")
        return value


@dataclass(frozen=True)
class Choices(Rule):
    """A list of different words among a few."""

    options: tuple[str, ...]

    @property
    def allowed(self) -> str:
        return "a list, not empty, of different names among " + ", ".join(self.options)

    def decode(self, value: Any, path: str) -> tuple[str, ...]:
        items = listed(value)
        if not isinstance(items, list) or not items:
            raise SpecError(path, value, self.allowed, a_list(value))
        words = tuple(Choice(self.options).decode(item, f"{path}[{i}]") for i, item in enumerate(items))
        if len(set(words)) < len(words):
            raise SpecError(path, value, self.allowed)
        return words

    def encode(self, value: Any) -> list[str]:
        return list(value)


@dataclass(frozen=True)
class Name(Rule):
    """A word that only the rest of the experiment can judge, such as the name of a variable."""

    @property
    def allowed(self) -> str:
        return "a name of letters, digits and _"

    def decode(self, value: Any, path: str) -> str:
        if not isinstance(value, str) or not value.isidentifier():
            raise SpecError(path, value, self.allowed)
        return value


@dataclass(frozen=True)
class Names(Rule):
    """A list of distinct names that only the rest of the experiment can judge, such as those of tensors."""

    @property
    def allowed(self) -> str:
        return "a list of distinct names of letters, digits and _"

    def decode(self, value: Any, path: str) -> tuple[str, ...]:
        items = listed(value)
        if not isinstance(items, list):
            raise SpecError(path, value, self.allowed, a_list(value))
        names = tuple(Name().decode(item, f"{path}[{i}]") for i, item in enumerate(items))
        if len(set(names)) < len(names):
            raise SpecError(path, value, self.allowed)
        return names

    def encode(self, value: Any) -> list[str]:
        return list(value)


@dataclass(frozen=True)
class Flag(Rule):
    """True or false."""

    @property
    def allowed(self) -> str:
        return "true or false"

    def decode(self, value: Any, path: str) -> bool:
        value = plain(value)
        if not isinstance(value, bool):
            raise SpecError(path, value, self.allowed)
        return value


@dataclass(frozen=True)
class Function(Rule):
    """A named function, or a user's own: a callable, or ``"package.module:name"`` in a file."""

    options: tuple[str, ...]
    signature: str

    @property
    def allowed(self) -> str:
        return f"one of {', '.join(self.options)}, or a function {self.signature} (in a file: 'module:name')"

    def decode(self, value: Any, path: str) -> str | Callable:
        if callable(value):
            return value
        if isinstance(value, str) and value in self.options:
            return value
        if isinstance(value, str) and ":" in value:
            found = imported(value, path, self.allowed)
            if callable(found):
                return found
        raise SpecError(path, value, self.allowed, nearest(value, self.options) if isinstance(value, str) else "")

    def encode(self, value: Any) -> str:
        return value if isinstance(value, str) else location(value)


# TOML has no word for None; an axis can hold it.
NOTHING = "none"


@dataclass(frozen=True)
class Optional(Rule):
    """A rule, or nothing. Whether it is there is structure; its value follows the inner rule."""

    inner: Rule

    @property
    def node(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.inner.node

    @property
    def allowed(self) -> str:
        return self.inner.allowed + f", or {NOTHING!r}"

    def decode(self, value: Any, path: str) -> Any:
        nothing = value is None or (isinstance(value, str) and value == NOTHING)
        return None if nothing else self.inner.decode(value, path)

    def encode(self, value: Any) -> Any:
        return NOTHING if value is None else self.inner.encode(value)
