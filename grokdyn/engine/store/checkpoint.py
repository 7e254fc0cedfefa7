"""The state of the batch in training, on disk, so that an interrupted sweep loses little."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from grokdyn.engine.store.arrays import arrays_in, write_arrays
from grokdyn.engine.store.files import StoreError, make_folder, remove, writing
from grokdyn.engine.store.pieces import belongs
from grokdyn.engine.store.regular import check_regular

KEPT = 2
# Of a state's arrays, those that are many: in the file each is called after its group and itself.
GROUPS = ("records", "states")


class Checkpoints:
    """Saves and restores a batch in training: a file for every step, in its own folder below ``checkpoints/``.

    The last two are kept. Each appears whole or not at all, and notes what it belongs to. Where two processes train
    the same batch, the first keeps its checkpoints and the other only reads them.
    """

    def __init__(self, store: Path, batch: str, known: Mapping[str, Any], say: Callable[[str], None]):
        self.folder, self.say = store / "checkpoints" / batch, say
        self.note = belongs(known, "checkpoint", batch)
        with writing(self.folder):
            make_folder(self.folder, parents=True)
            self.claim = claimed(self.folder.with_suffix(".lock"))

    def files(self) -> dict[int, Path]:
        """Return the files by step."""
        return {int(file.stem): file for file in self.folder.glob("[0-9]*.npz") if file.stem.isdigit()}

    def save(self, step: int, tree: Mapping[str, Any]) -> None:
        """Save the batch's state at a step; checkpoints from there on, which nothing could go on from, go.

        Raises:
            StoreError: if it cannot be written; earlier checkpoints stay.
        """
        if self.claim is None:
            return
        flat = {name: value for name, value in tree.items() if name not in GROUPS}
        flat |= {f"{group}.{name}": value for group in GROUPS for name, value in tree[group].items()}
        with writing(self.folder):
            write_arrays(self.folder / f"{step:010d}.npz", flat, {**self.note, "step": step}, packed=False)
        there = self.files()
        before = sorted(number for number in there if number < step)
        for number in there:
            if number > step or number in before[: 1 - KEPT]:  # the former are damaged, or of another plan
                remove(there[number])

    def load(self) -> dict[str, Any] | None:
        """Return the newest state that can be read, or None: the batch then starts again."""
        for step, file in sorted(self.files().items(), reverse=True):
            try:
                return self.read(step, file)
            except (StoreError, OSError) as error:
                self.say(f"{error}; an older one, or the beginning, gives the same numbers")
        if any(found.is_dir() for found in self.folder.glob("[0-9]*")):
            self.say(f"{str(self.folder)!r} holds checkpoints of an earlier version; the batch begins again")
        return None

    def read(self, step: int, file: Path) -> dict[str, Any]:
        check_regular(file, self.folder.parents[1])
        with arrays_in(file, {**self.note, "step": step}, hint="it is left out") as found:
            tree: dict[str, Any] = {group: {} for group in GROUPS}
            for name in found.files:
                group, dot, own = name.partition(".")
                tree[group if dot else name] = {**tree[group], own: found[name]} if dot else found[name]
        return tree

    def remove(self) -> None:
        """Remove all checkpoints: the batch is finished."""
        if self.claim is not None:
            remove(self.folder)
            remove(self.folder.with_suffix(".lock"))
        self.close()

    def close(self) -> None:
        """Leave the checkpoints to whoever trains the batch next."""
        if self.claim is not None:
            self.claim.close()


def claimed(place: Path) -> IO[bytes] | None:
    """Return an open file whose lock ends with this process, or None if another process holds it."""
    held = os.open(place, os.O_RDWR | os.O_CREAT | getattr(os, "O_NONBLOCK", 0), 0o666)
    file = os.fdopen(held, "rb")
    try:
        import fcntl  # not on Windows

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        pass
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            file.close()
            return None
        # A file system without locks: go on as the only one.
    return file
