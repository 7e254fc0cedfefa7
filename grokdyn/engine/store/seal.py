"""A manifest's checksums of its own entries: an edit or a flipped bit in one is found, and named."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any

SEAL = "seal"


def sealed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return a manifest with the checksum of every entry."""
    entries = {name: value for name, value in manifest.items() if name != SEAL}
    return {**entries, SEAL: {name: checksum(value) for name, value in entries.items()}}


def checksum(value: Any) -> str:
    """Return the CRC-32 of an entry."""
    return f"{zlib.crc32(json.dumps(value, sort_keys=True).encode()):08x}"


def broken(known: Mapping[str, Any]) -> list[str]:
    """Return the entries of a manifest that are not as they were written, or no entries a manifest could have.

    Earlier versions wrote no checksums; of theirs only the types are looked at.
    """
    wrong = [name for name, right in TYPES.items() if name in known and not right(known[name])]
    if SEAL not in known:
        return wrong
    sums = known[SEAL]
    if not isinstance(sums, Mapping):
        return [SEAL]
    names = {*sums, *known} - {SEAL}
    return sorted({*wrong, *(n for n in names if n not in known or sums.get(n) != checksum(known[n]))})


def whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def every(what: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(what(item) for item in value)


def text(value: Any) -> bool:
    return isinstance(value, str)


def session(value: Any) -> bool:
    """Return whether this is a note on what a session of training took."""
    return isinstance(value, dict) and number(value.get("seconds")) and number(value.get("peak_bytes") or 0)


def cohort(value: Any) -> bool:
    """Return whether this is what a manifest says of a cohort."""
    least = {"runs": 1, "batches": 1, "runs_per_batch": 1, "steps": 0}
    return isinstance(value, dict) and all(whole(value.get(name)) and value[name] >= n for name, n in least.items())


def axis(value: Any) -> bool:
    """Return whether this is what a manifest says of an axis."""
    if not isinstance(value, dict) or not text(value.get("name")) or not isinstance(value.get("beside", {}), dict):
        return False
    columns = [value.get("values"), *value.get("beside", {}).values()]
    return all(alike(column) and len(column) == len(columns[0]) > 0 for column in columns)


def alike(values: Any) -> bool:
    """Return whether these are values of a coordinate, all of one kind."""
    return any(every(kind)(values) for kind in (text, number, lambda item: isinstance(item, bool)))


def generation(value: Any) -> bool:
    """Return whether this is what a manifest says of how a store was extended."""
    return isinstance(value, dict) and all(whole(value.get(name)) for name in ("runs", "cohorts"))


def sums_of_files(value: Any) -> bool:
    each = value.values() if isinstance(value, dict) else [None]
    return all(isinstance(sums, dict) and all(map(text, sums.values())) for sums in each)


def results(value: Any) -> bool:
    """Return whether this is what a manifest keeps of the results."""
    metadata, labels = (value.get("metadata"), value.get("coordinates")) if isinstance(value, dict) else (None, None)
    if not isinstance(metadata, dict) or not isinstance(labels, dict):
        return False
    return isinstance(metadata.get("arrays"), dict) and all(isinstance(values, list) for values in labels.values())


# What a reader takes for granted of an entry.
TYPES: dict[str, Callable[[Any], bool]] = {
    "schema": whole,
    "spec": text,
    "axes": every(axis),
    "finished": lambda value: isinstance(value, bool),
    "cohorts": every(cohort),
    "generations": every(generation),
    "checksums": sums_of_files,
    "results": results,
    "sessions": every(session),
    "bytes_per_batch": every(number),
    "planned_seconds": lambda value: value is None or number(value),
    "devices": whole,
    "parent": lambda value: isinstance(value, dict),
}
