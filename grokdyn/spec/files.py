"""Spec files: reading one, at a scale, with fields set from outside."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grokdyn.spec import toml
from grokdyn.spec.errors import SpecError, nearest
from grokdyn.spec.experiment import Experiment
from grokdyn.spec.sweep import Sweep, decode, flattened, swept_paths


def load(path: str | Path, scale: str = "full", overrides: Mapping[str, Any] | None = None) -> Experiment | Sweep:
    """Read an experiment or a sweep from a TOML file.

    Args:
        scale: name of one of the file's ``[scale.NAME]`` tables, whose dotted paths are set first; ``full`` is the file
            as it is written.
        overrides: dotted path -> value, set last.

    Returns:
        an ``Experiment``, or a ``Sweep`` where the file has a table ``[sweep]``.

    Raises:
        SpecError: naming the field, what came and what is allowed.
    """
    raw = scaled(toml.read(path), scale)
    override_all(raw, overrides or {})
    return decode(raw)


def scaled(raw: dict[str, Any], scale: str) -> dict[str, Any]:
    """Return a raw spec without its scales, the fields of the wanted one set."""
    scales = raw.pop("scale", {})
    if not isinstance(scales, Mapping) or not all(isinstance(fields, Mapping) for fields in scales.values()):
        raise SpecError("scale", scales, "tables [scale.NAME] of path = value")
    if scale != "full" and scale not in scales:
        raise SpecError("scale", scale, "one of " + ", ".join([*scales, "full"]), nearest(scale, scales))
    override_all(raw, scales.get(scale, {}))
    return raw


def override_all(raw: dict[str, Any], fields: Mapping[str, Any]) -> None:
    """Set fields of a raw spec, by dotted path.

    Raises:
        SpecError: if an axis replaces the part that holds a field, so that it would not matter.
    """
    for path, value in fields.items():
        override(raw, path, value)
    axes = raw.get("sweep")
    swept = swept_paths(axes) if isinstance(axes, Mapping) else {}
    for path, value in fields.items():
        if swept.get(path, path) != path:
            raise SpecError(path, value, f"a field that sweep.{swept[path]} does not vary along with others")
        for part in swept:
            if path.startswith(f"{part}."):
                hint = f"set sweep.{part}, or for all its values an axis sweep.{path}"
                raise SpecError(path, value, f"a field outside {part}, which the sweep replaces as a whole", hint)


def override(raw: dict[str, Any], path: str, value: Any) -> None:
    """Set a field at a dotted path of a raw spec, or an axis at ``sweep.`` and its path.

    An axis along a field that is set goes, so that the field is fixed.
    """
    head, _, rest = path.partition(".")
    axes = raw.get("sweep")
    if isinstance(axes, Mapping) or head == "sweep":
        flat = flattened(axes) if isinstance(axes, Mapping) else {}
        if head == "sweep" and rest:
            raw["sweep"] = {**flat, rest: value}
            return
        raw["sweep"] = {axis: values for axis, values in flat.items() if axis != path}
    *parents, last = path.split(".")
    table = raw
    for name in parents:
        inner = table.get(name, {})
        # A part may be written as its kind's name alone.
        table[name] = dict(inner) if isinstance(inner, Mapping) else {"kind": inner}
        table = table[name]
    table[last] = value
