"""One run taken apart: its program, constants, state and rows, for tests of the functions that train it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from grokdyn.engine.plan import cohorts as plan
from grokdyn.spec import base
from grokdyn.train.lane import begin
from grokdyn.train.rows import train_rows
from tests.contract import arrays


class Run(NamedTuple):
    program: Any
    lane: Any
    state: Any
    table: Any
    rows: Any


def outlined(experiment):
    """Return the shapes of a run at step 0; nothing is computed."""
    checked = base.check(experiment)
    (cohort,) = plan.cohorts([checked], None, jax.local_devices()[:1])
    static = cohort.program

    def begun(numbers, shared):
        lane, state = begin(static, numbers, shared, None)
        table = lane.table if shared is None else shared
        return lane, state, table, train_rows(static, lane, table)

    return Run(static, *jax.eval_shape(begun, arrays(cohort.template), cohort.table))


def taken_apart(experiment, padding=0, **program):
    """Return a run at step 0, with train rows padded by some more, and fields of the program changed."""
    checked = base.check(experiment)
    (cohort,) = plan.cohorts([checked], None, jax.local_devices()[:1])
    static = cohort.program._replace(rows=cohort.program.rows + padding, tile=cohort.program.tile + padding)
    static = static._replace(padded=static.padded or padding > 0, **program)
    table = jax.tree.map(jnp.asarray, cohort.table)
    # Not compiled as a whole: the single operations are compiled once for all tests.
    lane, state = begin(static, jax.tree.map(jnp.asarray, arrays(cohort.template)), table, None)
    table = lane.table if table is None else table
    return Run(static, lane, state, table, train_rows(static, lane, table))
