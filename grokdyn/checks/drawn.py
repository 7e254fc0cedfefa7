"""Tables that each run draws for itself, by a task of a user's own."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.checks.told import telling
from grokdyn.spec.foreign import has_foreign
from grokdyn.tasks.base import Signature, Table, Task
from grokdyn.tasks.fit import pair, refuse, shapes_off, values_off
from grokdyn.tasks.signature import Inputs, Tokens
from grokdyn.tasks.streams import split_keys

# Runs whose tables are drawn and looked at before anything else: the first, the last, and some between.
LOOKED_AT = 8


def check_draws(stacked: Any, template: Any, signature: Signature) -> None:
    """Raise SpecError where tables that some of the runs draw, or rows for an update, are not what the signature says.

    Args:
        stacked: the experiment with the numbers of all runs [runs].
    """
    task = template.task
    if not (task.drawn or task.endless) or not has_foreign(task):
        return

    def draw(experiment: Any) -> Table:
        return Table(*pair(task, experiment.task.draw(split_keys(experiment)[1]), "draw"))

    def sample(experiment: Any) -> Table:
        split_key, table_key = split_keys(experiment)
        found = experiment.task.sample(experiment.task.rule(table_key), split_key, template.batch_size)
        return Table(*pair(task, found, "sample"))

    runs = len(jax.tree.leaves(stacked)[0])
    with jax.enable_x64(True), telling("task", task, "draw"):
        one = jax.tree.map(lambda column: column[0], stacked)
        if task.drawn:
            refuse(task, "draw", shapes_off(jax.eval_shape(draw, one), signature))
            compiled = jax.jit(draw)
            for run in np.unique(np.linspace(0, runs - 1, LOOKED_AT).astype(int)):
                table = jax.device_get(compiled(jax.tree.map(lambda column, run=run: column[run], stacked)))
                refuse(task, "draw", values_off(table, signature))
        if task.endless and template.batch_size is not None:
            found = jax.eval_shape(sample, one)
            few = Signature(narrowed(signature.inputs, found), signature.targets, template.batch_size)
            refuse(task, "sample", shapes_off(found, few))
            refuse(task, "sample", values_off(jax.device_get(jax.jit(sample)(one)), few))


def narrowed(inputs: Inputs, found: Table) -> Inputs:
    """Return what rows of an update have to be: of the table's width, or narrower where rows of tokens have padding."""
    shape = found.inputs.shape
    if not isinstance(inputs, Tokens) or not inputs.padded or len(shape) != 2 or not 0 < shape[1] < inputs.width:
        return inputs
    return inputs._replace(width=shape[1], fixed=inputs.fixed[-shape[1] :])


def check_drawn(task: Task, tables: Table | None, signature: Signature) -> None:
    """Raise SpecError where tables that all runs of a batch have drawn [runs, rows, ...] hold numbers out of range."""
    if tables is None or not has_foreign(task):
        return
    # The least and the largest of every column, as a table of two rows: it is as wrong as the whole.
    ends = jax.device_get(jax.tree.map(lambda x: jnp.stack([x.min((0, 1)), x.max((0, 1))]), tables))
    refuse(task, "draw", values_off(ends, signature))
