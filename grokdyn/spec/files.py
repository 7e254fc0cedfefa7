"""Spec files: reading one, at a scale, with fields set from outside."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grokdyn.spec import base, toml
from grokdyn.spec.axes import ROUND
from grokdyn.spec.errors import SpecError, Words, nearest
from grokdyn.spec.experiment import Experiment
from grokdyn.spec.paths import path_of
from grokdyn.spec.plane import BOUNDARY, Search, search
from grokdyn.spec.round import Beginning, Round
from grokdyn.spec.sweep import Sweep, decode, flattened, swept_paths


def load(
    path: str | Path, scale: str = "full", overrides: Mapping[str, Any] | None = None
) -> Experiment | Sweep | Round | Search:
    """Read an experiment, a sweep, a round or the search for a boundary from a TOML file.

    Args:
        scale: name of one of the file's ``[scale.NAME]`` tables, whose dotted paths are set first; ``full`` is the file
            as it is written. What a round goes on from is read at the same scale.
        overrides: dotted path -> value, set last.

    Returns:
        an ``Experiment``, or a ``Sweep`` where the file has a table ``[sweep]``, or a ``Round`` where it has a table
        ``[round]``, for ``gd.run_round``; or, where it has a table ``[boundary]``, what ``gd.boundary`` is given.

    Raises:
        SpecError: naming the field, what came and what is allowed.
    """
    return loaded(path_of(path, "spec"), scale, overrides or {}, ())


def loaded(
    path: Path, scale: str, overrides: Mapping[str, Any], after: tuple[Path, ...]
) -> Experiment | Sweep | Round | Search:
    """Return what a file describes.

    Args:
        after: the files of rounds that go on from it.
    """
    raw = scaled(toml.read(path), scale)
    override_all(raw, overrides)
    if BOUNDARY in raw:
        return search(raw)
    return round_in(raw, path, scale, after) if ROUND in raw else decode(raw)


def round_in(raw: dict[str, Any], path: Path, scale: str, after: tuple[Path, ...]) -> Round:
    """Return the round that a raw spec describes, with what it goes on from.

    Raises:
        SpecError: also for a parent that is not there, or that goes on from this very file.
    """
    table = raw.pop(ROUND)
    if not isinstance(table, Mapping):
        raise SpecError(ROUND, table, "a table: " + ", ".join(base.rules(Beginning)))
    begin = base.decode(Beginning, table, ROUND)
    place = path.parent / path_of(begin.of, f"{ROUND}.of")
    file = place if place.suffix == ".toml" else place.with_name(f"{place.name}.toml")
    seen = (*after, path.resolve())
    if file.resolve() in seen:
        circle = " of ".join(each.stem for each in (*seen[seen.index(file.resolve()) :], file))
        raise SpecError(f"{ROUND}.of", Words(f"a circle: {circle}"), "a spec that goes on from none of these")
    if file.is_file():
        parent = loaded(file, scale, {}, seen)
        if isinstance(parent, Search):
            raise SpecError(f"{ROUND}.of", Words(f"{file.stem}, a search for a boundary"), "a sweep or a round")
        parent = Sweep(parent, {}) if isinstance(parent, Experiment) else parent
    elif (place / "spec.toml").is_file():
        parent = place
    else:
        known = [f.stem for f in sorted(path.parent.glob("*.toml")) if f.resolve() not in seen]
        raise SpecError(f"{ROUND}.of", begin.of, base.rules(Beginning)["of"].allowed, nearest(begin.of, known))
    axes = raw.pop("sweep", {})
    if not isinstance(axes, Mapping):
        raise SpecError("sweep", axes, "a table of axes: path = values")
    return Round(begin, parent, file.stem, raw, flattened(axes))


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
        table = entered(table, name, path)
    table[last] = value


def entered(table: dict[str, Any], name: str, path: str) -> dict[str, Any]:
    """Return the table of a name, or of a list's item such as ``transforms[0]``, as one that may be changed.

    Raises:
        SpecError: for an item that the list does not have, or a list in the place of an item.
    """
    holder: Any = table
    key: Any = name
    list_name, bracket, _ = name.partition("[")
    if bracket:
        items = table.get(list_name, [])
        count = len(items) if isinstance(items, list) else 0
        known = {f"{list_name}[{i}]": i for i in range(count)}
        if name not in known:
            raise SpecError(path, Words(f"a field of {name}"), ", ".join(known) or f"nothing: there are no {list_name}")
        holder = table[list_name] = list(items)
        key = known[name]
    inner = holder[key] if bracket else table.get(name, {})
    if isinstance(inner, list):
        items = ", ".join(f"{name}[{i}]" for i in range(len(inner)))
        raise SpecError(
            path, Words(f"a field of {name}, a list"), f"one of an item: {items}" if items else "nothing: it is empty"
        )
    # A part may be written as its kind's name alone.
    holder[key] = dict(inner) if isinstance(inner, Mapping) else {"kind": inner}
    return holder[key]
