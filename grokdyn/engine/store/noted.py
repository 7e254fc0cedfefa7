"""How the runs of a store are batched, as its manifest notes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from grokdyn.engine.store.files import StoreError


class NotedBatch(NamedTuple):
    """What a manifest tells of a batch.

    Attributes:
        updates: of all its runs, if none ends early.
        bytes: that it needs, as estimated; 0 where an earlier version made the store.
    """

    updates: int
    bytes: int


def noted_batches(known: Mapping[str, Any]) -> list[NotedBatch]:
    """Return the batches of a store by their numbers.

    Args:
        known: the store's manifest.
    """
    found = []
    needs = known.get("bytes_per_batch", [0] * len(known["cohorts"]))
    for cohort, need in zip(known["cohorts"], needs, strict=True):
        runs, width = cohort["runs"], cohort["runs_per_batch"]
        firsts = range(0, runs, width)
        found += [NotedBatch(min(width, runs - first) * cohort["steps"], need) for first in firsts]
    return found


def generations(known: Mapping[str, Any], runs: int) -> list[tuple[int, int]]:
    """Return how many runs and cohorts a store was made with, and by how many it was extended each time.

    Args:
        runs: how many there are, where it never was.
    """
    noted = known.get("generations", [{"runs": runs, "cohorts": len(known.get("cohorts", []))}])
    return [(each["runs"], each["cohorts"]) for each in noted]


def sizes_of(known: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Return the runs per batch and lanes per block of every cohort.

    Raises:
        StoreError: if the manifest was lost.
    """
    if "cohorts" not in known:
        raise StoreError("manifest.json is not there: how the runs of this store were batched is lost")
    return [(cohort["runs_per_batch"], cohort["lanes_per_block"]) for cohort in known["cohorts"]]
