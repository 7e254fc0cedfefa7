"""Keeps what has been trained: parts of finished batches, checkpoints of the one in training."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from grokdyn.engine.host.interrupt import Interrupted, Wish
from grokdyn.engine.loop.batch import Batch
from grokdyn.engine.store import pieces, states
from grokdyn.engine.store.checkpoint import Checkpoints
from grokdyn.engine.store.files import StoreError, remove
from grokdyn.engine.store.reading import is_finished
from grokdyn.engine.store.results import Part


class Forgetful:
    """Keeps nothing: results stay in memory."""

    def finished(self, name: str, runs: np.ndarray, snapshots: Iterable[int]) -> Part | None:
        return None

    def halved(self, name: str) -> bool:
        return False

    def begin(self, name: str, batch: Batch) -> None:
        pass

    def after_chunk(self, name: str, batch: Batch) -> None:
        pass

    def finish(self, name: str, part: Part, snapshots: Iterable[int]) -> None:
        pass

    def join(self, name: str, halves: Sequence[str], part: Part, snapshots: Iterable[int]) -> None:
        pass


class Keeper:
    """Keeps a store up to date, and stops where somebody wished to.

    Args:
        known: the store's manifest.
        say: tells what was found damaged.
    """

    def __init__(
        self,
        path: Path,
        known: Mapping[str, Any],
        checkpoint_seconds: float,
        wish: Wish,
        say: Callable[[str], None] = lambda text: None,
    ):
        self.path, self.known, self.every, self.wish, self.say = path, known, checkpoint_seconds, wish, say
        self.saved = time.monotonic()
        self.checkpoints: Checkpoints | None = None

    def finished(self, name: str, runs: np.ndarray, snapshots: Iterable[int]) -> Part | None:
        """Return what a batch found in an earlier session, if that and its snapshots are whole.

        Args:
            runs: the numbers of its runs.
        """
        try:
            part = pieces.find_part(self.path, name, self.known)
            if part is None:
                return None
            if not np.array_equal(part.runs, runs):
                raise StoreError(f"{str(pieces.part_file(self.path, name))!r} is of other runs")
            states.check_snapshots(self.path, name, snapshots, self.known)
        except StoreError as error:
            self.say(f"{error}; {told(name)} is trained again")
            return None
        for left in (self.path / "snapshots").glob(f"{name}-[01]-*.npz"):
            remove(left)  # of halves that were joined
        return part

    def halved(self, name: str) -> bool:
        """Return whether an earlier session found that a batch has to be halved."""
        return any(any((self.path / where).glob(f"{name}-*")) for where in ("parts", "checkpoints"))

    def begin(self, name: str, batch: Batch) -> None:
        """Bring a batch to where an earlier session left it, if its snapshots up to there are whole."""
        self.close()
        others = states.snapshot_files(self.path, name, batch.cohort.snapshots)
        pieces.check_clear(self.path, name, others)
        self.checkpoints = Checkpoints(self.path, name, self.known, self.say)
        before = self.checkpoints.load()
        if before is None:
            return
        try:
            passed = [step for step in batch.cohort.snapshots if step <= int(before["step"])]
            states.check_snapshots(self.path, name, passed, self.known)
        except StoreError as error:
            self.say(f"{error}; {told(name)} begins again")
        else:
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
            there = batch.lanes.ends_after[batch.lanes.real] >= batch.step
            states.write_snapshot(self.path, name, batch.step, batch.named(), there, self.known)
        if batch.done or self.checkpoints is None:
            return
        asked = self.wish.asked  # once: the answer may change in between
        if asked or time.monotonic() - self.saved >= self.every:
            self.checkpoints.save(batch.step, batch.saved())
            pieces.write_part(pieces.so_far_file(self.path, name), batch.part(), self.known, "part so far")
            self.saved = time.monotonic()
        if asked:
            raise Interrupted(f"interrupted at step {batch.step} of {told(name)}; grokdyn resume {self.path}")

    def finish(self, name: str, part: Part, snapshots: Iterable[int]) -> None:
        """Write what a batch found; its checkpoints go.

        Raises:
            StoreError: if it cannot be written, or a snapshot went away meanwhile.
        """
        for step in snapshots:
            if not states.snapshot_file(self.path, name, step).is_file():
                if (part.ends() >= step).any():
                    raise StoreError(f"{str(self.path)!r}: the snapshot at step {step} went away; grokdyn resume")
                states.write_snapshot(self.path, name, step, {}, np.zeros(len(part.runs), bool), self.known)
        pieces.write_part(pieces.part_file(self.path, name), part, self.known)
        remove(pieces.so_far_file(self.path, name))
        if self.checkpoints is not None:
            self.checkpoints.remove()
            self.checkpoints = None
        if self.wish.asked:
            raise Interrupted(f"interrupted after {told(name)}; grokdyn resume {self.path}")

    def join(self, name: str, halves: Sequence[str], part: Part, snapshots: Iterable[int]) -> None:
        """Write what a batch found of which the halves are finished."""
        for step in snapshots:
            states.join_snapshots(self.path, name, halves, step, self.known)
        pieces.write_part(pieces.part_file(self.path, name), part, self.known)
        for half in halves:
            for step in snapshots:
                remove(states.snapshot_file(self.path, half, step))
            remove(pieces.part_file(self.path, half))


def told(name: str) -> str:
    """Return how a message calls a batch, or a half of one."""
    return f"batch {int(name.partition('-')[0]) + 1}"
