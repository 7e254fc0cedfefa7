"""A sweep shared by processes that know nothing of each other but the folder."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from grokdyn.engine.machines.here import CHECKPOINT_SECONDS, create, work
from grokdyn.engine.store import pieces
from grokdyn.engine.store.collect import collect
from grokdyn.engine.store.files import StoreError
from grokdyn.engine.store.reading import batches, is_finished, read_manifest, read_spec
from grokdyn.spec.errors import SpecError
from grokdyn.spec.paths import place_of
from grokdyn.spec.round import check_no_round
from grokdyn.spec.sweep import Sweep

if TYPE_CHECKING:
    import xarray as xr

# So that the last batches of a process, which train alone, are a small part of its work.
BATCHES_EACH = 4
SOON_SECONDS = 2.0


class Shard(NamedTuple):
    """The ``number``-th of ``count`` processes, counted from 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``"i/n"``.

        Raises:
            SpecError: unless 1 <= i <= n.
        """
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise SpecError("shard", text, "i/n with i from 1 to n, such as 1/8")
        return cls(int(found[1]), int(found[2]))

    def share(self, path: Path) -> list[int]:
        """Return the batches of a store that are this process's."""
        return [batch for batch in batches(path) if batch % self.count == self.number - 1]


def run_shard(
    sweep: Sweep,
    out: str | Path,
    shard: Shard,
    progress: bool | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> xr.Dataset | None:
    """Train one process's share of a sweep; the first process makes the store, the last one puts it together.

    Called again with the same arguments it goes on where it was interrupted.

    Returns:
        What ``run`` returns, or None while other processes have batches to train.

    Raises:
        SpecError, StoreError, Interrupted: as ``run``; also where the folder holds another sweep.
    """
    check_no_round(sweep)
    path = place_of(out, "out")
    join(sweep, path, BATCHES_EACH * shard.count)
    work(path, shard.share(path), progress=progress, checkpoint_seconds=checkpoint_seconds)
    return None if unfinished(path) else collect(path)


def join(sweep: Sweep, path: Path, least: int) -> None:
    """Make the store of a sweep, or find that another process has made it.

    Raises:
        StoreError: if the folder holds anything else.
    """
    if not (path / "spec.toml").is_file():
        try:
            create(sweep, path, batches=least)
            return
        except StoreError:
            if not soon(path / "spec.toml"):
                raise
    if read_spec(path).to_toml() != sweep.to_toml():
        raise StoreError(f"out: {str(path)!r} holds another sweep; allowed: the folder of this very one, or a new one")


def soon(file: Path) -> bool:
    """Return whether a file is there: the process that makes the store may be at it."""
    until = time.monotonic() + SOON_SECONDS
    while not file.is_file() and (file.parent / "parts").is_dir() and time.monotonic() < until:
        time.sleep(0.01)
    return file.is_file()


def unfinished(path: Path) -> list[int]:
    """Return the batches of a store that nobody has finished yet."""
    if is_finished(path):
        return []
    return [batch for batch in batches(path) if not pieces.part_file(path, batch).is_file()]


def untrained(path: Path) -> list[int]:
    """Return the batches of a store to train: those that nobody has finished, or whose file is damaged."""
    if is_finished(path):
        return []
    known = read_manifest(path)
    return [batch for batch in batches(path) if not pieces.is_part(path, batch, known)]
