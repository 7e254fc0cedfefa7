"""What holds for every component: its numbers may be any that its rules allow, and other ones are no other program."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import jax

from grokdyn.spec import base
from grokdyn.spec.errors import SpecError


def numbers(component: Any) -> dict[str, Any]:
    """Return the dotted paths of a component's number leaves, with their values; not those of parts in a list."""
    found = jax.tree_util.tree_leaves_with_path(component)
    named = [(path, value) for path, value in found if all(isinstance(key, jax.tree_util.GetAttrKey) for key in path)]
    return {".".join(key.name for key in path): value for path, value in named}


def changed(component: Any) -> Any:
    """Return the component with every number replaced by another valid one."""
    for path in numbers(component):
        component = changed_at(component, path)
    return component


def changed_at(component: Any, path: str) -> Any:
    """Return the component with one number replaced by another valid one; as it is where there is no other."""
    value, rule = numbers(component)[path], base.find(component, path)[2]
    tries = (value * 0.75, value * 0.75 + 0.125, value + 1)
    return component.replace(**{path: next((x for x in decoded(rule, tries) if x != value), value)})


def decoded(rule: Any, values: tuple[Any, ...]) -> Iterator[Any]:
    """Yield those values that a rule, or the one inside it, accepts, in their declared type."""
    for value in values:
        with contextlib.suppress(SpecError):
            yield getattr(rule, "inner", rule).decode(value, "")
