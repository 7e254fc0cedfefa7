"""The rows of an update after the experiment's transforms."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.losses.base import of_rows
from grokdyn.tasks.parts import parts_of
from grokdyn.tasks.signature import TEST
from grokdyn.tasks.streams import stream
from grokdyn.train.lane import Lane, Program, State
from grokdyn.train.rows import Rows, function_of
from grokdyn.transforms.base import Batch, Transform

# Its key is that of a step that no run reaches, and that neither the model's draws nor the optimizer's have.
STREAM = np.int32(np.iinfo(np.int32).max - 2)


def rows_of_update(program: Program, lane: Lane, rows: Rows, state: State, ranks: jax.Array | None = None) -> Rows:
    """Return the rows that the update made at the state's step descends on, with their weights.

    Args:
        rows: those that train, or the fresh ones of this step.
        ranks: of the rows of a mini-batch drawn without regard to weights; None where all are taken.
    """
    experiment, key = lane.experiment, step_key(lane, state.step)
    size = experiment.batch_size
    choosing = any(one.chooses for one in experiment.transforms)
    if size is not None and not experiment.task.endless:
        if choosing:
            weights = chosen(program, lane, rows, state)
            ranks = by_weight(jax.random.fold_in(key, len(experiment.transforms)), weights, size)
        rows = jax.tree.map(lambda x: x[ranks], rows)
    batch = batch_of(program, lane, rows, ranks)
    if size is None:
        batch = batch._replace(weights=chosen(program, lane, rows, state))
    function = function_of(lane, state.model)
    if any(one.reads_losses for one in experiment.transforms):
        loss, logits = experiment.loss.in_force(state.step), function(state.params, rows.inputs)
        batch = batch._replace(losses=of_rows(loss, logits, rows.labels, program.signature.targets))
    if any(one.reads_network for one in experiment.transforms):
        batch = batch._replace(logits=lambda inputs: function(state.params, inputs))
    for i, one in enumerate(experiment.transforms):
        if not one.chooses:
            batch = one.apply(batch, jax.random.fold_in(key, i), state.step)
    offset = None if rows.offset is None else function_of(lane).offset(batch.inputs)
    return rows._replace(inputs=batch.inputs, labels=batch.targets, offset=offset, weights=batch.weights)


def chosen(program: Program, lane: Lane, rows: Rows, state: State) -> jax.Array:
    """Return the weights of all train rows by the transforms that choose, float64 [rows], 0 for padding."""
    batch, key = batch_of(program, lane, rows, None), step_key(lane, state.step)
    for i, one in enumerate(lane.experiment.transforms):
        if one.chooses:
            batch = one.apply(batch, jax.random.fold_in(key, i), state.step)
    return jnp.where(rows.counts, batch.weights, 0.0)


def step_key(lane: Lane, step: jax.Array) -> jax.Array:
    """Return the key of the transforms of an update."""
    return jax.random.fold_in(jax.random.fold_in(stream(lane.experiment, "batch"), STREAM), step)


def by_weight(key: jax.Array, weights: jax.Array, size: int) -> jax.Array:
    """Draw places with probabilities in proportion to weights, with replacement, int32 [size]."""
    sums = jnp.cumsum(weights)
    drawn = jax.random.uniform(key, (size,), jnp.float64) * sums[-1]
    places = jnp.searchsorted(sums, drawn, side="right").astype(jnp.int32)
    return jnp.minimum(places, weights.shape[0] - 1)


def batch_of(program: Program, lane: Lane, rows: Rows, ranks: jax.Array | None) -> Batch:
    """Return rows as transforms see them, all of weight 1 but for padding."""
    task, n = lane.experiment.task, rows.counts.shape[0]
    features: dict[str, Any] = dict(task.features(rows.inputs, rows.labels))
    known = parts_of(task)
    if not known.whole and not task.endless:  # fresh rows are of no part
        trained = (name for name, role in known.roles.items() if role != TEST)
        features |= {name: jnp.asarray(known.mask(name))[rows.index] for name in trained}
    rank = jnp.arange(n, dtype=jnp.int32) if ranks is None else ranks
    weights = rows.counts.astype(jnp.float64)
    inputs, labels = (wide(values, lane.experiment.dtype) for values in (rows.inputs, rows.labels))
    return Batch(inputs, labels, weights, rows.counts, rank, program.signature.outputs, features)


def wide(values: jax.Array, dtype: str) -> jax.Array:
    """Return reals in the run's dtype, whatever the table holds them in; whole numbers as they are."""
    return values.astype(dtype) if jnp.issubdtype(values.dtype, jnp.floating) else values


def unfit(transforms: tuple[Transform, ...], experiment: Any) -> Any:
    """Yield ``(field, came, allowed)`` where choosing transforms do not fit how an experiment takes its rows."""
    for i, one in enumerate(transforms):
        if not one.chooses:
            continue
        where, size = f"transforms[{i}].kind", experiment.batch_size
        if experiment.task.endless:
            yield where, one, "transforms that choose no rows, where every update draws its own"
        elif size is not None and not experiment.batch_replacement:
            yield "batch_replacement", False, f"true, as transforms[{i}] chooses the rows that a batch is drawn from"
        elif size is None and experiment.model.rows_interact:
            yield where, one, "a batch_size, for a model with batch statistics: rows of weight 0 would be in them"
