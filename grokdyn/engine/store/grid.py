"""The axes of a sweep as the manifest notes them: reading results needs no class that the spec names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from grokdyn.spec.errors import SpecError
from grokdyn.spec.imports import nothing_imported
from grokdyn.spec.sweep import Sweep


@dataclass(frozen=True)
class Grid:
    """The coordinates of a sweep's axes, in the order that numbers its runs.

    Attributes:
        beside: what else varies along an axis of paths that move together: name -> (dimension, values).
    """

    coordinates: Mapping[str, np.ndarray]
    beside: Mapping[str, tuple[str, np.ndarray]] = field(default_factory=dict)

    @property
    def shape(self) -> dict[str, int]:
        return {name: len(values) for name, values in self.coordinates.items()}

    @property
    def size(self) -> int:
        return math.prod(self.shape.values())


def axes_told(sweep: Sweep) -> list[dict[str, Any]]:
    """Return what a manifest says of a sweep's axes."""
    return [
        {
            "name": dim,
            "values": values.tolist(),
            **({"beside": along} if (along := beside_of(sweep, dim)) else {}),
        }
        for dim, values in sweep.coordinates.items()
    ]


def beside_of(sweep: Sweep, dim: str) -> dict[str, list[Any]]:
    """Return what else varies along a dimension."""
    return {name: values.tolist() for name, (along, values) in sweep.beside.items() if along == dim}


def grid_of(known: Mapping[str, Any]) -> Grid:
    """Return the axes that a manifest notes."""
    axes = known["axes"]
    beside = {
        name: (axis["name"], np.asarray(values)) for axis in axes for name, values in axis.get("beside", {}).items()
    }
    return Grid({axis["name"]: np.asarray(axis["values"]) for axis in axes}, beside)


def told_by_spec(text: str) -> dict[str, list[Any]]:
    """Return the values of the axes and of ``step`` as a spec tells them, where an earlier version noted neither."""
    try:
        with nothing_imported():
            sweep = Sweep.from_toml(text)
    except SpecError:
        return {}
    steps, records = (sweep.axes.get(name, [getattr(sweep.base, name)]) for name in ("steps", "record"))
    recorded = {int(step) for record in records for last in steps for step in record.at(last)}
    return {**{name: values.tolist() for name, values in sweep.coordinates.items()}, "step": sorted(recorded)}
