"""How many lanes a device vmaps together: tried out where a sweep is long enough to pay for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax

from grokdyn.engine.memory import OutOfMemoryError, is_short
from grokdyn.engine.plan import Cohort, in_blocks
from grokdyn.engine.speed import operations_per_step, speed

BLOCKS = (32, 128, 512, 2048)
# Trials compile a program each. A sweep of fewer operations than this is over as soon as they are.
WORTH_OPERATIONS = 2e15


def tuned(planned: Sequence[Cohort], found: list[Any]) -> list[Cohort]:
    """Return cohorts with the blocks that train fastest on these devices.

    A CPU takes lanes one by one whatever is asked: that is fastest, and makes a run's bits independent of the others.
    """
    if found[0].platform == "cpu":
        return list(planned)
    return [fastest(cohort, found) if worth(cohort) else cohort for cohort in planned]


def worth(cohort: Cohort) -> bool:
    """Return whether trials of several blocks pay."""
    lanes = len(cohort.batches[0]) // cohort.devices
    return lanes > BLOCKS[0] and operations_per_step(cohort) * len(cohort.runs) * cohort.length > WORTH_OPERATIONS


def fastest(cohort: Cohort, found: list[Any]) -> Cohort:
    """Return a cohort with the block that trains fastest, of those that fit into memory."""
    lanes = len(cohort.batches[0]) // cohort.devices
    options = [in_blocks(cohort, block) for block in {*(b for b in BLOCKS if b < lanes), cohort.block}]
    return min(options, key=lambda option: training_seconds(option, found))


def training_seconds(cohort: Cohort, found: list[Any]) -> float:
    """Return how long a cohort trains; for ever where a block does not fit into memory."""
    try:
        return speed(cohort, found).seconds(cohort)
    except (OutOfMemoryError, jax.errors.JaxRuntimeError) as error:
        if not is_short(error):
            raise
        return float("inf")
