"""The state of the batch in training, on disk, so that an interrupted sweep loses little."""

from __future__ import annotations

import errno
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import jax
import numpy as np

from grokdyn.engine.files import StoreError, remove, writing

KEPT = 2
# What orbax writes of a checkpoint besides its arrays, with room to spare.
SPARE_BYTES = 2**18


class Checkpoints:
    """Saves and restores a batch in training, in its own folder below ``checkpoints/`` of a store.

    The last two are kept. Each appears whole or not at all. Where two processes train the same batch, the first keeps
    its checkpoints and the other only reads them.
    """

    def __init__(self, store: Path, batch: str):
        import orbax.checkpoint as ocp  # takes a second, and only stores need it

        # What goes wrong is raised, and told in one line; orbax also logs a traceback of each of its threads.
        logging.getLogger("absl").setLevel(logging.CRITICAL)
        self.orbax, self.folder = ocp, store.absolute() / "checkpoints" / batch
        options = ocp.CheckpointManagerOptions(max_to_keep=KEPT, enable_async_checkpointing=False)
        with writing(self.folder):
            self.manager = ocp.CheckpointManager(self.folder, options=options)
            self.claim = claimed(self.folder.with_suffix(".lock"))

    def save(self, step: int, tree: Mapping[str, Any]) -> None:
        """Save the batch's state at a step; checkpoints from there on, which nothing could go on from, go.

        Raises:
            StoreError: if it cannot be written; earlier checkpoints stay.
        """
        if self.claim is None:
            return
        self.check_room(tree)
        try:
            for left in self.manager.all_steps():
                if left >= step:  # damaged, or of another plan: else training would have gone on from it
                    self.manager.delete(left)
            self.manager.save(step, args=self.orbax.args.StandardSave(tree))
        except Exception as error:  # a full disk comes back from orbax as one of several kinds
            raise StoreError(f"out: cannot write a checkpoint to {str(self.folder)!r}: {first_line(error)}") from None

    def check_room(self, tree: Mapping[str, Any]) -> None:
        """Raise StoreError where a checkpoint would not fit: orbax's threads do not end quietly on a full disk."""
        needed = sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(tree)) + SPARE_BYTES
        with writing(self.folder):
            free = shutil.disk_usage(self.folder).free
        if free < needed:
            room = f"{free / 2**20:.1f} MiB are free, {needed / 2**20:.1f} needed"
            raise StoreError(f"out: no space left for a checkpoint in {str(self.folder)!r}: {room}")

    def load(self) -> dict[str, Any] | None:
        """Return the newest state that can be read, or None: the batch then starts again."""
        for number in sorted(self.manager.all_steps(), reverse=True):
            try:
                return dict(self.manager.restore(number, args=self.orbax.args.StandardRestore()))
            except Exception:  # damaged: an older one, or the beginning, gives the same bits
                continue
        return None

    def remove(self) -> None:
        """Remove all checkpoints: the batch is finished."""
        if self.claim is not None:
            remove(self.folder)
            remove(self.folder.with_suffix(".lock"))
        self.close()

    def close(self) -> None:
        """Leave the checkpoints to whoever trains the batch next."""
        self.manager.close()
        if self.claim is not None:
            self.claim.close()


def claimed(place: Path) -> IO[bytes] | None:
    """Return an open file whose lock ends with this process, or None if another process holds it."""
    file = place.open("wb")
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


def first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
