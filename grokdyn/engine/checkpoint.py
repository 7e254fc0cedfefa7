"""The state of the batch in training, on disk, so that an interrupted sweep loses little."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grokdyn.engine.store import StoreError

KEPT = 2
# Orbax numbers checkpoints by one integer: the batch's number and the chunk's.
CHUNKS_PER_BATCH = 10**6


class Checkpoints:
    """Saves and restores the batch that is being trained, under ``checkpoints/`` of a store.

    The last two are kept. Each appears whole or not at all.
    """

    def __init__(self, folder: Path):
        import orbax.checkpoint as ocp  # takes a second, and only stores need it

        logging.getLogger("absl").setLevel(logging.ERROR)
        self.orbax, self.folder = ocp, folder.absolute() / "checkpoints"
        options = ocp.CheckpointManagerOptions(max_to_keep=KEPT, enable_async_checkpointing=False)
        self.manager = ocp.CheckpointManager(self.folder, options=options)

    def save(self, batch: int, chunk: int, tree: Mapping[str, Any]) -> None:
        """Save a batch's state after a chunk.

        Raises:
            StoreError: if it cannot be written; earlier checkpoints stay.
        """
        try:
            # A number that exists is of a chunk that is computed again after damage: the same bits.
            self.manager.save(batch * CHUNKS_PER_BATCH + chunk, args=self.orbax.args.StandardSave(tree), force=True)
        except Exception as error:  # a full disk comes back from orbax as one of several kinds
            raise StoreError(f"out: cannot write a checkpoint to {str(self.folder)!r}: {first_line(error)}") from None

    def load(self, batch: int) -> dict[str, Any] | None:
        """Return the newest state of a batch that can be read, or None: the batch then starts again."""
        for number in sorted(self.manager.all_steps(), reverse=True):
            if number // CHUNKS_PER_BATCH == batch:
                try:
                    found = self.manager.restore(number, args=self.orbax.args.StandardRestore())
                except Exception:  # damaged: an older one, or the beginning, gives the same bits
                    continue
                return dict(found)
        return None

    def remove(self) -> None:
        """Remove all checkpoints: the sweep is finished."""
        self.manager.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
