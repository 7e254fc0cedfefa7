"""The rows that an update is made of: those of the table that train, or fresh ones for every step."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp

from grokdyn.models.function import Function
from grokdyn.models.output import Params
from grokdyn.tasks.base import Table
from grokdyn.tasks.fit import read
from grokdyn.train.lane import Lane, Program, stream


class Rows(NamedTuple):
    """Train rows, padded. ``counts`` marks the real ones; padding repeats the first row and weighs nothing.

    ``index`` is each row's place in the table; ``offset`` what a centred model's logits are lessened by; ``weights``
    what transforms make of the rows, by which the loss is a weighted mean.
    """

    index: jax.Array
    inputs: jax.Array
    labels: jax.Array
    counts: jax.Array
    offset: jax.Array | None = None
    weights: jax.Array | None = None


def train_rows(program: Program, lane: Lane, table: Table) -> Rows:
    """Gather the run's train rows from the table."""
    ranks = jnp.arange(program.rows, dtype=jnp.int32)
    counts = ranks < lane.split.n_train
    order = jnp.resize(lane.split.order, (max(program.rows, lane.split.order.shape[0]),))
    rows = jnp.where(counts, order[: program.rows], order[0])
    inputs = table.inputs[rows]
    offset = function_of(lane).offset(inputs)
    return Rows(rows, inputs, lane.split.labels[rows], counts, offset)


def rows_of(program: Program, lane: Lane, table: Table, places: jax.Array) -> Rows:
    """Gather rows of the table [rows] as if they trained; more than a tile's are filled up to whole tiles."""
    n, tile = places.shape[0], program.tile
    ranks = jnp.arange(n if n <= tile else -(-n // tile) * tile, dtype=jnp.int32)
    counts = ranks < n
    index = places[jnp.where(counts, ranks, 0)]
    inputs = table.inputs[index]
    return Rows(index, inputs, lane.split.labels[index], counts, function_of(lane).offset(inputs))


def lasting_rows(program: Program, lane: Lane, table: Table) -> Rows | None:
    """Return the rows that train all the time; None where every update draws its own."""
    return None if lane.experiment.task.endless else train_rows(program, lane, table)


def rows_at(program: Program, lane: Lane, table: Table, step: jax.Array) -> Rows:
    """Return the rows that the update made at a step could be of."""
    rows = lasting_rows(program, lane, table)
    return fresh_rows(program, lane, step) if rows is None else rows


def fresh_rows(program: Program, lane: Lane, step: jax.Array) -> Rows:
    """Draw the rows of the update made at a step from the run's batch stream; their places are behind the table's."""
    experiment, signature, size = lane.experiment, program.signature, lane.experiment.batch_size
    key = jax.random.fold_in(stream(experiment, "batch"), step)
    found = Table(*experiment.task.sample(lane.rule, key, size))
    inputs, labels = read(jax.tree.map(jnp.asarray, found), signature, experiment.dtype)
    ranks = jnp.arange(program.rows, dtype=jnp.int32)
    counts, ranks = ranks < size, jnp.where(ranks < size, ranks, 0)
    if program.padded:
        inputs, labels = inputs[ranks], labels[ranks]
    return Rows(signature.rows + ranks, inputs, labels, counts, function_of(lane).offset(inputs))


def beheld(lane: Lane, table: Table, rows: Rows) -> tuple[Lane, Table]:
    """Return a run and its table with the fresh rows of an update behind those of the table, as probes see them.

    Rows of tokens may be narrower where the task has padding.
    """
    size, (inputs, labels) = lane.experiment.batch_size, table
    fresh, narrower = rows.inputs[:size], inputs.shape[1] - rows.inputs.shape[1]
    if narrower:
        fresh = jnp.pad(fresh, ((0, 0), (narrower, 0)), constant_values=-1)
    inputs, labels = jnp.concatenate([inputs, fresh]), jnp.concatenate([labels, rows.labels[:size]])
    return replace(lane, split=lane.split._replace(labels=labels)), Table(inputs, labels)


def function_of(lane: Lane, state: Params | None = None) -> Function:
    """Return the function that a run trains, for what its model carries at present."""
    return Function(lane.experiment.model, lane.initial_params, state, lane.moves)
