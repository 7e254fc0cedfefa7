"""The states in a store: what its runs began from, and snapshots of them on their way.

A state is named leaf by leaf, such as ``params.W_0``. Earlier versions numbered them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from grokdyn.engine.store.arrays import AGAIN, arrays_in, checksum_in, write_arrays
from grokdyn.engine.store.files import StoreError, make_folder, writing
from grokdyn.engine.store.pieces import belongs, word
from grokdyn.engine.store.regular import check_regular
from grokdyn.train.origin import Group, Origin
from grokdyn.train.start import Start

# What runs may begin from.
GIVEN = ("start.npz", "origin.npz")


def write_given(path: Path, start: Start | None, origin: Origin) -> dict[str, str]:
    """Write what is given to begin from, and the stored states that runs go on from; return the checksums."""
    sums = {}
    if start is not None:
        sums["start.npz"] = write_arrays(path / "start.npz", start.arrays(), {"piece": "start"})
    if origin.groups:
        sums["origin.npz"] = write_arrays(path / "origin.npz", arrays_of(origin), {"piece": "origin"})
    return sums


def arrays_of(origin: Origin) -> dict[str, np.ndarray]:
    """Return an origin as arrays by name."""
    found: dict[str, Any] = {"step": np.int64(origin.step)}
    if origin.parents is not None:
        found["parents"] = origin.parents
    for i, group in enumerate(origin.groups):
        found |= {f"{i}.runs": group.runs, f"{i}.rows": np.int64(group.rows)}
        for kind in ("states", "moves", "alive", "stays"):
            found |= {f"{i}.{kind}.{name}": values for name, values in getattr(group, kind).items()}
    return found


def origin_of(file: Any) -> Origin:
    """Return the origin that ``arrays_of`` belong to, or that of an earlier version."""
    step = int(file["step"])
    if "rows" in file.files:
        states = {name: leaf[None] for name, leaf in states_of(file).items()}
        return Origin(step, (Group(np.zeros(1, np.int64), int(file["rows"]), states),))
    groups: dict[str, dict[str, Any]] = {}
    for name in file.files:
        number, dot, rest = name.partition(".")
        kind, inner, leaf = rest.partition(".")
        if dot and inner:
            groups.setdefault(number, {}).setdefault(kind, {})[leaf] = file[name]
        elif dot:
            groups.setdefault(number, {})[kind] = file[name]
    made = tuple(Group(**{**group, "rows": int(group["rows"])}) for group in groups.values())
    return Origin(step, made, file["parents"] if "parents" in file.files else None)


def check_given(path: Path, name: str, known: Mapping[str, Any]) -> bool:
    """Return whether a store's runs begin from a file.

    Raises:
        StoreError: if it is not there, or another than the store was made with.
    """
    place, hint = path / name, "put a copy of it back, or train the spec anew in another folder"
    check_regular(place, path)
    if "given" not in known:  # an earlier version made the store, or the manifest was lost
        return place.is_file()
    noted = known["given"].get(name)
    if noted is None and place.exists():
        raise StoreError(f"{str(place)!r} is not what this store's runs began from: they began without; remove it")
    if noted is not None and not place.is_file():
        raise StoreError(f"{str(place)!r} is not there, which this store's runs begin from; {hint}")
    if noted is not None and checksum_in(place) != noted:
        raise StoreError(f"{str(place)!r} is damaged or another file than this store's runs began from; {hint}")
    return noted is not None


def read_start(path: Path, known: Mapping[str, Any]) -> Start | None:
    """Return what is given for a store's runs to begin from, if anything.

    Raises:
        StoreError: if they were lost or are damaged.
    """
    if not check_given(path, "start.npz", known):
        return None
    with arrays_in(path / "start.npz", hint="put a copy of it back") as file:
        return Start.of_arrays({name: file[name] for name in file.files})


def read_origin(path: Path, known: Mapping[str, Any]) -> Origin:
    """Return the stored states that a store's runs go on from, if any.

    Raises:
        StoreError: if they were lost or are damaged.
    """
    if not check_given(path, "origin.npz", known):
        return Origin()
    with arrays_in(path / "origin.npz", hint="put a copy of it back") as file:
        return origin_of(file)


def states_of(file: Any) -> dict[str, np.ndarray]:
    """Return the leaves in a file by name; those of an earlier version by number, in their order."""
    named = {name.removeprefix("state."): file[name] for name in file.files if name.startswith("state.")}
    numbered = sum(name.startswith("leaf.") for name in file.files)
    return named or {str(i): file[f"leaf.{i}"] for i in range(numbered)}


def snapshot_file(path: Path, batch: int | str, step: int) -> Path:
    return path / "snapshots" / f"{word(batch)}-{step:010d}.npz"


def snapshot_files(path: Path, batch: int | str, steps: Iterable[int]) -> list[Path]:
    return [snapshot_file(path, batch, step) for step in steps]


def write_snapshot(
    path: Path,
    batch: int | str,
    step: int,
    states: Mapping[str, np.ndarray],
    there: np.ndarray,
    known: Mapping[str, Any],
) -> None:
    """Write the state of a batch's runs at a step.

    Args:
        states: name of a leaf -> [runs, ...]; none where all runs were over before.
        there: marks the runs that were not over before [runs].
        known: the manifest of the store.
    """
    place = snapshot_file(path, batch, step)
    arrays = {"there": there, **{f"state.{name}": leaf for name, leaf in states.items()}}
    with writing(path):
        make_folder(place.parent)
        write_arrays(place, arrays, belongs(known, "snapshot", batch, step=int(step)))


@contextmanager
def snapshot(path: Path, batch: int | str, step: int, known: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the arrays of a snapshot.

    Raises:
        StoreError: if it is not there, is damaged, or of another sweep.
    """
    place = snapshot_file(path, batch, step)
    check_regular(place, path)
    try:
        with arrays_in(place, belongs(known, "snapshot", batch, step=int(step))) as file:
            yield file
    except FileNotFoundError:
        raise StoreError(f"{str(place)!r} is not there; {AGAIN}") from None


def read_snapshot(
    path: Path, batch: int | str, step: int, known: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return what ``write_snapshot`` wrote; raise StoreError as ``snapshot``."""
    with snapshot(path, batch, step, known) as file:
        return states_of(file), file["there"]


def check_snapshots(path: Path, batch: int | str, steps: Iterable[int], known: Mapping[str, Any]) -> None:
    """Raise StoreError unless all snapshots of a batch are there and whole."""
    for step in steps:
        with snapshot(path, batch, step, known):
            pass


def join_snapshots(path: Path, batch: str, halves: Sequence[str], step: int, known: Mapping[str, Any]) -> None:
    """Make one snapshot of those of a batch's halves."""
    if all(not snapshot_file(path, half, step).is_file() for half in halves):
        return  # an earlier session has done so, and removed them
    found = [read_snapshot(path, half, step, known) for half in halves]
    like = next((states for states, _ in found if states), {})
    filled = [
        states or {name: np.zeros((len(there), *x.shape[1:]), x.dtype) for name, x in like.items()}
        for states, there in found
    ]
    states = {name: np.concatenate([each[name] for each in filled]) for name in like}
    write_snapshot(path, batch, step, states, np.concatenate([there for _, there in found]), known)
