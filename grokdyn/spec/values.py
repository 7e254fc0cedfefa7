"""Values as users bring them, numpy scalars, arrays, ranges, columns of tables, as plain Python ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, KeysView, Mapping, Sequence, ValuesView
from dataclasses import is_dataclass
from typing import Any

import numpy as np

from grokdyn.spec.errors import shown


def plain(value: Any) -> Any:
    """Return numpy and JAX scalars as Python ones, anything else as it is."""
    if isinstance(value, np.generic) or (getattr(value, "ndim", None) == 0 and hasattr(value, "item")):
        return value.item()
    return value


def listed(value: Any) -> Any:
    """Return what holds values in an order, or none of words and sets, as a list: arrays, ranges, columns of tables.

    Anything else is returned as it is.
    """
    if isinstance(value, str | bytes | Mapping | type) or getattr(value, "ndim", 1) == 0:
        return value
    if isinstance(value, Sequence | KeysView | ValuesView):
        return list(value)
    if hasattr(value, "__array__"):  # numpy, JAX, pandas, xarray, tensors on a CPU
        try:
            return np.asarray(value).tolist()
        except Exception:  # one that is traced, or on a device that numpy cannot read
            return value
    return value


def a_list(value: Any) -> str:
    """Return a hint on what to write in place of something that is no list."""
    if isinstance(value, set | frozenset):
        return "a set has no order: a list, or sorted(...)"
    if isinstance(value, Iterator):
        return "what is used up by one reading: list(...)"
    single = isinstance(plain(value), int | float) or is_dataclass(value)
    return f"did you mean [{shown(plain(value))}]?" if single else ""


def whole_set(value: Any) -> bool:
    """Return whether something is a set of whole numbers, which has an order of its own."""
    return isinstance(value, set | frozenset) and all(isinstance(plain(item), int) for item in value)


def finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # an int beyond the floats
        return False
