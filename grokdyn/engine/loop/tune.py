"""How many lanes a device vmaps together: tried out where a sweep is long enough to pay for it."""

from __future__ import annotations

from typing import Any

import jax

from grokdyn.engine.host.memory import OutOfMemoryError, is_short
from grokdyn.engine.loop.speed import operations_per_step, speed
from grokdyn.engine.plan.cohort import Cohort
from grokdyn.engine.plan.plan import Plan

BLOCKS = (32, 128, 512, 2048)
# Trials compile a program each. A sweep of fewer operations than this is over as soon as they are.
WORTH_OPERATIONS = 2e15


def tuned(plan: Plan, found: list[Any]) -> Plan:
    """Return a plan with the blocks that train fastest on these devices.

    A CPU takes lanes one by one whatever is asked: that is fastest, and makes a run's bits independent of the others.
    """
    if found[0].platform == "cpu":
        return plan
    return plan.with_cohorts([fastest(cohort, found) if worth(cohort) else cohort for cohort in plan.cohorts])


def worth(cohort: Cohort) -> bool:
    """Return whether trials of several blocks pay."""
    lanes = len(cohort.batches[0]) // cohort.devices
    return lanes > BLOCKS[0] and operations_per_step(cohort) * len(cohort.runs) * cohort.length > WORTH_OPERATIONS


def fastest(cohort: Cohort, found: list[Any]) -> Cohort:
    """Return a cohort with the block that trains fastest, of those that fit into memory."""
    lanes = len(cohort.batches[0]) // cohort.devices
    options = [cohort.in_blocks(block) for block in {*(b for b in BLOCKS if b < lanes), cohort.block}]
    return min(options, key=lambda option: training_seconds(option, found))


def training_seconds(cohort: Cohort, found: list[Any]) -> float:
    """Return how long a cohort trains; for ever where a block does not fit into memory."""
    try:
        return speed(cohort, found).seconds(cohort)
    except (OutOfMemoryError, jax.errors.JaxRuntimeError) as error:
        if not is_short(error):
            raise
        return float("inf")
