"""Train the batches of a plan, one after the other; where memory is short, half of one at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from grokdyn.engine.host.memory import OutOfMemoryError, is_short
from grokdyn.engine.host.progress import Reporter
from grokdyn.engine.loop.batch import Batch, Shared
from grokdyn.engine.loop.keeper import Forgetful, Keeper, told
from grokdyn.engine.plan.cohort import Cohort, cut
from grokdyn.engine.plan.plan import Plan
from grokdyn.engine.store import pieces
from grokdyn.engine.store.results import Part, joined


def trained(
    plan: Plan, devices: list[Any], shown: Reporter, keeper: Keeper | Forgetful, wanted: Collection[int] | None = None
) -> Iterator[Part]:
    """Train the batches, or the wanted ones, and yield what each found."""
    place, shared = -1, None
    for batch in plan.batches(wanted):
        if shared is None or batch.place != place:
            place, shared = batch.place, Shared.of(batch.cohort, devices)
            shown.turn(place)
        part = within_memory(batch.cohort, batch.lanes, shared, pieces.word(batch.number), shown, keeper)
        shown.finished(part.tally())
        yield part


def within_memory(
    cohort: Cohort, lanes: np.ndarray, shared: Shared, name: str, shown: Reporter, keeper: Keeper | Forgetful
) -> Part:
    """Train a batch, if no earlier session did; where memory is too small for it, its halves one after the other.

    Raises:
        OutOfMemoryError: where it is too small for a single run.
    """
    runs, done = np.unique(lanes), shown.done
    part = keeper.finished(name, cohort.runs[runs], cohort.snapshots)
    if part is not None:
        shown.skip(cohort.length * len(runs))
        return part
    if not keeper.halved(name):
        try:
            part = train_batch(Batch(cohort, lanes, shared, trains=True), name, shown, keeper)
        except (MemoryError, jax.errors.JaxRuntimeError) as error:
            if not is_short(error):
                raise
            if len(runs) == 1:
                raise OutOfMemoryError(cohort.lane_bytes, str(error) * isinstance(error, MemoryError)) from None
            shown.done = done
            shown.say(f"{told(name)}: {len(runs)} runs do not fit into memory; trying half of them at a time")
        else:
            keeper.finish(name, part, cohort.snapshots)
            return part
    # A block is filled up with lanes that take memory too: it must not stay larger than what is in it.
    smaller = replace(cohort, block=min(cohort.block, -(-len(runs) // (2 * cohort.devices))))
    halves = {
        f"{name}-{i}": cut(half, len(half), smaller.devices, smaller.block)[0]
        for i, half in enumerate(np.array_split(runs, 2))
    }
    parts = [within_memory(smaller, half, shared, own, shown, keeper) for own, half in halves.items()]
    part = joined(parts)
    keeper.join(name, list(halves), part, cohort.snapshots)
    return part


def train_batch(batch: Batch, name: str, shown: Reporter, keeper: Keeper | Forgetful) -> Part:
    """Train a batch to its end, from where an earlier session left it."""
    keeper.begin(name, batch)
    length, last = batch.cohort.length, batch.cohort.last_step
    going, before = int(batch.lanes.active.sum()), batch.step
    shown.skip(batch.size * length - going * (last - before))
    while not batch.done:
        batch.advance()
        shown.running(batch.tally())
        shown.advance(going * (batch.step - before))
        # What runs that are over would have had to do counts as done, so that the bar ends full.
        ended, before = going - int(batch.lanes.active.sum()), batch.step
        shown.skip(ended * (last - before))
        going -= ended
        keeper.after_chunk(name, batch)
    return batch.part()
