"""Frozen dataclasses that are pytrees, handed on by compiled functions. Descriptions have rules too, see ``base``."""

from __future__ import annotations

import dataclasses
from typing import Any, Self, dataclass_transform

from grokdyn.spec.identity import register


def static(*, default: Any = dataclasses.MISSING) -> Any:
    """Declare a field that belongs to the tree's structure."""
    return dataclasses.field(default=default, metadata={"static": True})


@dataclass_transform(frozen_default=True, field_specifiers=(static,))
class Tree:
    """Base of such classes; fields are children in their order, save those declared ``static``."""

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        dataclasses.dataclass(frozen=True)(cls)
        fields = dataclasses.fields(cls)  # pyright: ignore[reportArgumentType]
        nodes = tuple(f.name for f in fields if not f.metadata.get("static"))
        register(cls, nodes, tuple(f.name for f in fields if f.name not in nodes))

    def replace(self, **changes: Any) -> Self:
        """Return a copy with fields replaced."""
        return dataclasses.replace(self, **changes)  # pyright: ignore[reportArgumentType]
