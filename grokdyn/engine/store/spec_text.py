"""The text of a store's spec, held against the one that its manifest knows. Nothing is imported for it.

Reading results needs the spec as text alone: what it names may be a class of a script, or of somebody else.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from grokdyn.engine.store.files import StoreError
from grokdyn.spec import toml
from grokdyn.spec.errors import SpecError, line

MOST_TOLD = 3
# How a file names what is not of this package.
PLACE = re.compile(r"(?!grokdyn\.)\w+(\.\w+)*:[\w.<>]+")
RESTORE = "remove it, and what the manifest knows takes its place"
RUN_ON = "a finished store keeps its spec; to go on with other numbers: grokdyn fork from a snapshot, or run a new out"


def check_text(file: Path, known: Mapping[str, Any], text: str, finished: bool) -> None:
    """Raise StoreError if the text of a spec says anything else than the one that a store was made from."""
    was = noted(known, text)
    if same(was, text):
        return
    changed = "; ".join(spec_differences(was, text))
    hint = f"{RUN_ON}; to have it back: {RESTORE}" if finished and readable(text) else RESTORE
    raise StoreError(f"{str(file)!r} is damaged or was changed: {changed}; {hint}")


def noted(known: Mapping[str, Any], text: str) -> str:
    """Return the spec that a manifest holds, given the present one: earlier versions noted a digest."""
    was = known.get("spec", text)
    return text if was == hashlib.sha256(text.encode()).hexdigest() else was


def same(was: str, now: str) -> bool:
    """Return whether two texts say the same, blanks and comments aside; the order of axes numbers the runs."""
    if was == now:
        return True
    return readable(was) and readable(now) and (told(was), axes_of(was)) == (told(now), axes_of(now))


def readable(text: str) -> bool:
    try:
        toml.loads(text)
    except SpecError:
        return False
    return True


def told(spec: str) -> dict[str, str]:
    """Return the values of a spec by dotted path as they are written: True equals 1, and nan not even itself."""
    return {name: repr(value) for name, value in fields(spec).items()}


def spec_differences(known: str, present: str) -> Iterator[str]:
    """Yield the fields in which two specs differ."""
    if not readable(present):
        yield f"it is no TOML, {problem(present)}"
        return
    was, now = told(known), told(present)
    changed = [name for name in {**was, **now} if was.get(name) != now.get(name)]
    was, now = fields(known), fields(present)
    yield from (was_is(name, was.get(name, "nothing"), now.get(name, "nothing")) for name in changed[:MOST_TOLD])
    if len(changed) > MOST_TOLD:
        yield f"and {len(changed) - MOST_TOLD} more fields of the spec"
    if not changed:
        yield "the order of the spec's axes"


def problem(text: str) -> str:
    """Return what the parser says of a text that is no TOML."""
    try:
        toml.loads(text)
    except SpecError as error:
        return str(error).partition("the parser says: ")[2]
    return ""


def was_is(name: str, was: Any, now: Any) -> str:
    """Return how a message tells that something changed; of a long text the part where it did."""
    was, now = line(str(was), 10_000), line(str(now), 10_000)
    first = next((i for i, (a, b) in enumerate(zip(was, now, strict=False)) if a != b), min(len(was), len(now)))
    before = max(0, first - 10) if max(len(was), len(now)) > 40 else 0
    was, now = (("..." if before else "") + text[before:] for text in (was, now))
    return f"{line(name, 80)} was {line(was, 40)}, is {line(now, 40)}"


def fields(spec: str) -> dict[str, Any]:
    """Return the values of a spec by dotted path."""

    def flat(table: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
        for name, value in table.items():
            where = f"{path}.{name}" if path else name
            if isinstance(value, Mapping):
                yield from flat(value, where)
            else:
                yield where, value

    try:
        return dict(flat(toml.loads(spec)))
    except SpecError:  # an earlier version noted a digest
        return {"spec": spec}


def axes_of(spec: str) -> list[tuple[str, Any]]:
    """Return the axes of a spec in their order: they number the runs."""
    return [(name, value) for name, value in fields(spec).items() if name.startswith("sweep.")]


def brought_by(spec: str) -> list[str]:
    """Return the classes and functions of somebody's own that a spec names, as text."""

    def names(value: Any) -> Iterator[str]:
        if isinstance(value, str) and PLACE.fullmatch(value):
            yield value
        elif isinstance(value, Mapping):
            yield from names(list(value.values()))
        elif isinstance(value, list):
            for item in value:
                yield from names(item)

    return list(dict.fromkeys(names(fields(spec))))
