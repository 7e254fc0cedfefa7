"""One run taken apart: its program, constants, state and rows, for tests of the functions that train it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import xarray as xr

from grokdyn.engine.plan import cohorts as plan
from grokdyn.spec import base
from grokdyn.train.lane import begin
from grokdyn.train.rows import lasting_rows, train_rows
from grokdyn.train.step import record
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


def recorded(experiment, start=None):
    """Return a run at step 0, and a Dataset of what its probes measure there, from one program that trains nothing.

    A program of ``gd.run`` has an update in it too, which is most of it where the network is more than a few layers.
    """
    (cohort,) = plan.cohorts([base.check(experiment)], start, jax.local_devices()[:1])
    static, variables = cohort.program, cohort.variables

    @jax.jit
    def measured(numbers, shared, given):
        lane, state = begin(static, numbers, shared, given)
        table = lane.table if shared is None else shared
        rows = lasting_rows(static, lane, table)
        return (lane, state, table, rows), record(static, lane, rows, state, table)

    with jax.enable_x64(True):
        run, found = jax.device_get(measured(arrays(cohort.template), cohort.table, cohort.given))
    told = {name: {"long_name": v.long_name, "units": v.units} for name, v in variables.items()}
    data = {name: (v.dims, found[name], told[name]) for name, v in variables.items()}
    axes = {dim: (dim, list(values)) for v in variables.values() for dim, values in v.coordinates.items()}
    return Run(static, *run), xr.Dataset(data, axes)
