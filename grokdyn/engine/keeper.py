"""Keeps what has been trained: parts of finished batches, checkpoints of the one in training."""

from __future__ import annotations

import time
from pathlib import Path

from grokdyn.engine import pieces
from grokdyn.engine.batch import Batch
from grokdyn.engine.checkpoint import Checkpoints
from grokdyn.engine.interrupt import Interrupted, Wish
from grokdyn.engine.results import Part


class Forgetful:
    """Keeps nothing: results stay in memory."""

    def finished(self, number: int) -> Part | None:
        return None

    def begin(self, number: int, batch: Batch) -> None:
        pass

    def after_chunk(self, number: int, batch: Batch) -> None:
        pass

    def finish(self, number: int, part: Part) -> None:
        pass


class Keeper:
    """Keeps a store up to date, and stops where somebody wished to."""

    def __init__(self, path: Path, checkpoint_seconds: float, wish: Wish):
        self.path, self.every, self.wish = path, checkpoint_seconds, wish
        self.saved = time.monotonic()
        self.checkpoints: Checkpoints | None = None

    def finished(self, number: int) -> Part | None:
        """Return what a batch found in an earlier session."""
        return pieces.find_part(self.path, number)

    def begin(self, number: int, batch: Batch) -> None:
        """Bring a batch to where an earlier session left it."""
        self.checkpoints = Checkpoints(self.path, number)
        before = self.checkpoints.load()
        if before is not None:
            batch.restore(before)

    def close(self) -> None:
        """Leave the batch in training, if any, to whoever goes on with it."""
        if self.checkpoints is not None:
            self.checkpoints.close()
            self.checkpoints = None

    def after_chunk(self, number: int, batch: Batch) -> None:
        """Save the batch's state if it is time, or if somebody asked to stop, and then stop."""
        if batch.step in batch.cohort.snapshots:
            there = batch.ends_after[batch.real] >= batch.step
            pieces.write_snapshot(self.path, number, batch.step, batch.leaves(), there)
        if batch.done or self.checkpoints is None:
            return
        asked = self.wish.asked  # once: the answer may change in between
        if asked or time.monotonic() - self.saved >= self.every:
            self.checkpoints.save(batch.chunk, batch.saved())
            self.saved = time.monotonic()
        if asked:
            raise Interrupted(f"interrupted at step {batch.step} of batch {number + 1}; grokdyn resume {self.path}")

    def finish(self, number: int, part: Part) -> None:
        """Write what a batch found; its checkpoints go."""
        pieces.write_part(self.path, number, part)
        if self.checkpoints is not None:
            self.checkpoints.remove()
            self.checkpoints = None
        if self.wish.asked:
            raise Interrupted(f"interrupted after batch {number + 1}; grokdyn resume {self.path}")
