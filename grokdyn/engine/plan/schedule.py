"""When the compiled program pauses: at the steps to record, at snapshots, and often enough in between."""

from __future__ import annotations

import numpy as np

# At most this many chunks a batch; between chunks the host sees progress and results.
CHUNKS = 64
# No stretch without a pause is longer than this part of a run, or than so many steps: a pause costs as much as a
# record, up to two updates.
STRETCHES, SHORTEST = 16, 100


def schedule(recorded: np.ndarray, snapshots: np.ndarray, first: int, slices: int = 1) -> np.ndarray:
    """Return the steps at which the compiled program pauses, cut into equal chunks, see ``Cohort.schedule``.

    Args:
        slices: chunks that the work is worth, of half a minute or so: where it is much, there are more of them, since
            what is interrupted is saved between chunks only.
    """
    pauses = with_pauses(np.union1d(recorded, snapshots), first, max(STRETCHES, slices))
    length = -(-len(pauses) // max(CHUNKS, slices))
    chunks: list[list[int]] = [[]]
    for step in pauses.tolist():
        if len(chunks[-1]) == length:
            chunks.append([])
        chunks[-1].append(step)
        if step in snapshots:
            chunks[-1] += [step] * (length - len(chunks[-1]))
    chunks[-1] += [chunks[-1][-1]] * (length - len(chunks[-1]))
    return np.asarray(chunks, np.int64)


def with_pauses(wanted: np.ndarray, first: int, stretches: int) -> np.ndarray:
    """Return the wanted steps and pauses between them, so that no stretch is longer than a part of the run."""
    longest = max(SHORTEST, -(-int(wanted[-1] - first) // stretches))
    between = [
        np.linspace(a, b, -(-int(b - a) // longest) + 1)[1:].astype(np.int64)
        for a, b in zip(np.append(first, wanted), wanted, strict=False)
        if b > a
    ]
    return np.unique(np.concatenate([wanted, *between])).astype(np.int64)
