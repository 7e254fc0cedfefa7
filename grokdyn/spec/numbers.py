"""A field that is an axis of numbers."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

from grokdyn.spec.errors import SpecError
from grokdyn.spec.rules import Number, Rule
from grokdyn.spec.values import a_list, listed


@dataclass(frozen=True)
class Numbers(Rule):
    """A list of strictly increasing numbers, such as the places along an axis; ``open_low`` excludes the lower end."""

    low: float = -math.inf
    open_low: bool = False

    @property
    def allowed(self) -> str:
        end = "" if self.low == -math.inf else f" {'above' if self.open_low else 'from'} {self.low:g}"
        return f"a list of strictly increasing finite numbers{end}, not empty"

    def decode(self, value: Any, path: str) -> tuple[float, ...]:
        items = listed(value)
        if not isinstance(items, list):
            raise SpecError(path, value, self.allowed, a_list(value))
        one = Number(self.low, open_low=self.open_low)
        numbers = tuple(one.decode(item, f"{path}[{i}]") for i, item in enumerate(items))
        if not numbers or any(b <= a for a, b in itertools.pairwise(numbers)):
            raise SpecError(path, value, self.allowed)
        return numbers

    def encode(self, value: Any) -> list[float]:
        return list(value)
