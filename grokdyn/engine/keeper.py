"""Keeps what has been trained: parts of finished batches, checkpoints of the one in training."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from grokdyn.engine import pieces
from grokdyn.engine.batch import Batch
from grokdyn.engine.checkpoint import Checkpoints
from grokdyn.engine.files import StoreError, remove
from grokdyn.engine.interrupt import Interrupted, Wish
from grokdyn.engine.results import Part
from grokdyn.engine.store import is_finished


class Forgetful:
    """Keeps nothing: results stay in memory."""

    def finished(self, name: str) -> Part | None:
        return None

    def halved(self, name: str) -> bool:
        return False

    def begin(self, name: str, batch: Batch) -> None:
        pass

    def after_chunk(self, name: str, batch: Batch) -> None:
        pass

    def finish(self, name: str, part: Part, snapshots: Sequence[int]) -> None:
        pass

    def join(self, name: str, halves: Sequence[str], part: Part, snapshots: Sequence[int]) -> None:
        pass


class Keeper:
    """Keeps a store up to date, and stops where somebody wished to."""

    def __init__(self, path: Path, checkpoint_seconds: float, wish: Wish):
        self.path, self.every, self.wish = path, checkpoint_seconds, wish
        self.saved = time.monotonic()
        self.checkpoints: Checkpoints | None = None

    def finished(self, name: str) -> Part | None:
        """Return what a batch found in an earlier session."""
        return pieces.find_part(self.path, name)

    def halved(self, name: str) -> bool:
        """Return whether an earlier session found that a batch has to be halved."""
        return any(any((self.path / where).glob(f"{name}-*")) for where in ("parts", "checkpoints"))

    def begin(self, name: str, batch: Batch) -> None:
        """Bring a batch to where an earlier session left it."""
        self.close()
        self.checkpoints = Checkpoints(self.path, name)
        before = self.checkpoints.load()
        if before is not None:
            batch.restore(before)

    def close(self) -> None:
        """Leave the batch in training, if any, to whoever goes on with it."""
        if self.checkpoints is not None:
            self.checkpoints.close()
            self.checkpoints = None

    def after_chunk(self, name: str, batch: Batch) -> None:
        """Save the batch's state if it is time, or if somebody asked to stop, and then stop.

        Raises:
            StoreError: if it cannot be saved, or another process has finished the store.
        """
        if is_finished(self.path):
            raise StoreError(f"{str(self.path)!r}: another process has finished it")
        if batch.step in batch.cohort.snapshots:
            there = batch.ends_after[batch.real] >= batch.step
            pieces.write_snapshot(self.path, name, batch.step, batch.leaves(), there)
        if batch.done or self.checkpoints is None:
            return
        asked = self.wish.asked  # once: the answer may change in between
        if asked or time.monotonic() - self.saved >= self.every:
            self.checkpoints.save(batch.step, batch.saved())
            pieces.write_part(pieces.so_far_file(self.path, name), batch.part())
            self.saved = time.monotonic()
        if asked:
            raise Interrupted(f"interrupted at step {batch.step} of {told(name)}; grokdyn resume {self.path}")

    def finish(self, name: str, part: Part, snapshots: Sequence[int]) -> None:
        """Write what a batch found; its checkpoints go."""
        for step in snapshots:
            if not pieces.snapshot_file(self.path, name, step).is_file():  # all its runs were over before
                pieces.write_snapshot(self.path, name, step, (), np.zeros(len(part.runs), bool))
        pieces.write_part(pieces.part_file(self.path, name), part)
        remove(pieces.so_far_file(self.path, name))
        if self.checkpoints is not None:
            self.checkpoints.remove()
            self.checkpoints = None
        if self.wish.asked:
            raise Interrupted(f"interrupted after {told(name)}; grokdyn resume {self.path}")

    def join(self, name: str, halves: Sequence[str], part: Part, snapshots: Sequence[int]) -> None:
        """Write what a batch found of which the halves are finished."""
        for step in snapshots:
            pieces.join_snapshots(self.path, name, halves, step)
        pieces.write_part(pieces.part_file(self.path, name), part)
        for half in halves:
            for step in snapshots:
                remove(pieces.snapshot_file(self.path, half, step))
            remove(pieces.part_file(self.path, half))


def told(name: str) -> str:
    """Return how a message calls a batch, or a half of one."""
    return f"batch {int(name.partition('-')[0]) + 1}"
