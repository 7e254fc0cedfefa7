"""One run taken apart: its program, constants, state and rows, for tests of the functions that train it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from grokdyn.engine import plan
from grokdyn.spec import base
from grokdyn.train.gradient import train_rows
from grokdyn.train.lane import begin
from tests.contract import arrays


class Run(NamedTuple):
    program: Any
    lane: Any
    state: Any
    table: Any
    rows: Any


def taken_apart(experiment, padding=0, **program):
    """Return a run at step 0, with train rows padded by some more, and fields of the program changed."""
    checked = base.check(experiment)
    (cohort,) = plan.cohorts([checked], None, jax.local_devices()[:1])
    static = cohort.program._replace(rows=cohort.program.rows + padding, tile=cohort.program.tile + padding)
    static = static._replace(**program)
    table = jax.tree.map(jnp.asarray, cohort.table)
    lane, state = begun(cohort.program, arrays(checked), table, None)
    if state.order is not None:
        state = state.replace(order=jnp.arange(static.rows, dtype=jnp.int32))
    return Run(static, lane, state, table, jax.jit(train_rows, static_argnums=0)(static, lane, table))


begun = jax.jit(begin, static_argnums=0)
