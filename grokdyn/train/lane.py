"""One run: its constants, its state at step 0."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from grokdyn.models.function import Function
from grokdyn.models.output import Params
from grokdyn.spec.tree import Tree
from grokdyn.tasks.base import Signature, Table
from grokdyn.tasks.split import Split, draw_split, fresh_split, with_noise
from grokdyn.tasks.streams import drawn_table, split_keys, stream

OK, NON_FINITE = 0, 1


class Program(NamedTuple):
    """What is static besides the experiment's own structure; part of the compile cache's key.

    Attributes:
        signature: the task's shapes.
        rows: train rows are padded to this number, the largest of the cohort.
        tile: rows whose activations are alive together; the gradient is summed over tiles.
        noisy: whether any run of the cohort has corrupted labels.
        stochastic: whether the model of any run draws random numbers in training.
        own_code: digest of the code that a user brought, see ``spec.identity``.
        padded: whether any run of the cohort has fewer train rows than ``rows``.
    """

    signature: Signature
    rows: int
    tile: int
    noisy: bool
    stochastic: bool = False
    own_code: str = ""
    padded: bool = True


class Lane(Tree):
    """What a run is, on the device.

    Attributes:
        experiment: its numbers.
        table: its own, if it draws one.
        initial_params: its first, if a probe compares with them.
        rule: what it learns, where every update draws rows of its own (``tasks.base.Task.rule``).
        moves: bool like the parameters, the entries that training moves: those that were pruned or frozen stay; None:
            all move.
    """

    experiment: Any
    table: Table | None
    split: Split
    initial_params: Params | None
    moves: Params | None = None
    rule: Any = None


class State(Tree):
    """What the next step needs.

    Attributes:
        params, optimizer: pytrees.
        model: what the model carries beside its parameters, such as running statistics; nothing for most.
        order: int32 [rows], order in which mini-batches without replacement visit the train rows; None otherwise.
        step: int32, number of updates made.
        status: int32, OK or NON_FINITE; diverged_at: the step whose loss was first not finite, or -1.
    """

    params: Params
    optimizer: Any
    order: jax.Array | None
    model: Params
    step: jax.Array
    status: jax.Array
    diverged_at: jax.Array


def begin(program: Program, experiment: Any, shared: Table | None, start: Any) -> tuple[Lane, State]:
    """Return a run's constants and its state at step 0.

    Args:
        shared: the table of an enumerated task; None where the run draws its own.
        start: given parameters, rows, labels and moments (``start.Given``), or None.
    """
    task, signature = experiment.task, program.signature
    split_key, table_key = split_keys(experiment)
    table = drawn_table(task, table_key, signature, experiment.dtype) if shared is None else shared
    labels = jnp.asarray(table.labels)
    split = fresh_split(task, labels, experiment.batch_size) if task.endless else draw_split(task, labels, split_key)
    if program.noisy:  # drawing noise for all runs of a clean cohort would cost a third of this program
        split = with_noise(task, split, signature.classes, stream(experiment, "noise"))
    params = experiment.model.start(stream(experiment, "init"), signature, experiment.dtype)
    if start is not None:
        split, params = start.applied(split, params)
    zero = jnp.zeros((), jnp.int32)
    order = None
    if experiment.batch_size is not None and not experiment.batch_replacement and not task.endless:
        order = jnp.arange(program.rows, dtype=jnp.int32)
    memory = experiment.optimizer.begin(params, signature.rows, signature.outputs)
    if start is not None:
        memory = start.memory(memory)
    carried = experiment.model.initial_state(signature, experiment.dtype)
    if start is not None:
        carried = start.carried(carried)
    state = State(params, memory, order, carried, zero, zero + OK, zero - 1)
    compared = Function(experiment.model).anchored or any(probe.needs_initial_params for probe in experiment.probes)
    first = params if compared else None
    rule = task.rule(table_key) if task.endless else None
    return Lane(experiment, table if shared is None else None, split, first, rule=rule), state
