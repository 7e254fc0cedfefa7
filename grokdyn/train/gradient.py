"""Loss and gradient over the train rows, whole, in tiles, or on a mini-batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from grokdyn.losses.base import of_rows
from grokdyn.models.base import Params
from grokdyn.tasks.base import Table
from grokdyn.train.lane import Lane, Program


class Rows(NamedTuple):
    """Train rows, padded. ``counts`` marks the real ones; padding repeats the first row and weighs nothing.

    ``index`` is each row's place in the table; ``offset`` what a centred model's logits are lessened by.
    """

    index: jax.Array
    inputs: jax.Array
    labels: jax.Array
    counts: jax.Array
    offset: jax.Array | None = None


def train_rows(program: Program, lane: Lane, table: Table) -> Rows:
    """Gather the run's train rows from the table."""
    ranks = jnp.arange(program.rows, dtype=jnp.int32)
    counts = ranks < lane.split.n_train
    order = jnp.resize(lane.split.order, (max(program.rows, lane.split.order.shape[0]),))
    rows = jnp.where(counts, order[: program.rows], order[0])
    inputs = table.inputs[rows]
    offset = lane.experiment.model.offset(lane.initial_params, inputs)
    return Rows(rows, inputs, lane.split.labels[rows], counts, offset)


# params, or what the model prepares of them -> (the mean loss in parts [rows of a tile] whose sum it is, its gradient).
# Adding the parts up would cost a small network several per cent of its step, and training reads only whether they are
# finite.
Gradient = Callable[[Params], tuple[jax.Array, Params]]


def mean_loss(
    lane: Lane, rows: Rows, total: jax.Array, step: jax.Array, key: jax.Array | None
) -> Callable[[Params], tuple[jax.Array, jax.Array]]:
    """Return params -> sum of the real rows' losses at a step / divisor, and its terms; with a key, as the model trains
    (dropout)."""
    model, in_force = lane.experiment.model, lane.experiment.loss.in_force(step)

    def loss(params: Params) -> tuple[jax.Array, jax.Array]:
        logits = model.function(params, lane.initial_params, rows.inputs, key, rows.offset)
        losses = of_rows(in_force, logits, rows.labels)
        terms = jnp.where(rows.counts, losses, jnp.zeros((), losses.dtype))
        terms = terms / in_force.divisor(total).astype(losses.dtype)
        terms = terms / jnp.asarray(model.output_scale**2, terms.dtype) if model.rescaled else terms
        return jnp.sum(terms), terms

    return loss


def preparation(program: Program, lane: Lane, rows: int, key: jax.Array | None) -> Callable[[Params], Any]:
    """Return params -> what the model reads in their place on so many rows: what it prepares once a step."""
    model = lane.experiment.model
    if model.anchored or key is not None:
        return lambda params: params
    return lambda params: model.prepare(params, program.signature, rows)


def in_parts(loss: Callable[[Params], tuple[jax.Array, jax.Array]]) -> Gradient:
    """Return params -> (the terms of the loss, its gradient)."""
    differentiated = jax.value_and_grad(loss, has_aux=True)

    def gradient(params: Params) -> tuple[jax.Array, Params]:
        (_, terms), grads = differentiated(params)
        return terms, grads

    return gradient


def full_gradient(program: Program, lane: Lane, rows: Rows, step: jax.Array, key: jax.Array | None = None) -> Gradient:
    """Return the gradient over all train rows; every tile has a key of its own.

    More rows than a tile are taken tile by tile, as many tiles as this run fills: activations stay in cache, and
    padding costs nothing but the last tile's. What the model prepares of its parameters is made, and its gradient
    taken back to them, once for all tiles.
    """
    n_train, tile = lane.split.n_train, program.tile

    def of_tile(part: Rows, i: jax.Array) -> Gradient:
        own = None if key is None else jax.random.fold_in(key, i)
        return in_parts(mean_loss(lane, part, n_train, step, own))

    def over_tiles(prepared: Any) -> tuple[jax.Array, Any]:
        def add(i: jax.Array, total: Any) -> Any:
            part = jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, i * tile, tile), rows)
            return jax.tree.map(jnp.add, total, of_tile(part, i)(prepared))

        first = jax.tree.map(lambda x: x[:tile], rows)
        shapes = jax.eval_shape(of_tile(first, jnp.int32(0)), prepared)
        zero = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        return jax.lax.fori_loop(jnp.int32(0), (n_train + tile - 1) // tile, add, zero)

    whole = program.rows <= tile
    gradient = in_parts(mean_loss(lane, rows, n_train, step, key)) if whole else over_tiles
    return through(preparation(program, lane, program.rows, key), gradient)


def batch_gradient(
    program: Program, lane: Lane, rows: Rows, ranks: jax.Array, step: jax.Array, key: jax.Array | None = None
) -> Gradient:
    """Return the gradient over the rows of the given ranks [batch]."""
    batch, size = jax.tree.map(lambda x: x[ranks], rows), ranks.shape[0]
    gradient = in_parts(mean_loss(lane, batch, jnp.int32(size), step, key))
    return through(preparation(program, lane, size, key), gradient)


def through(prepare: Callable[[Params], Any], gradient: Gradient) -> Gradient:
    """Return the gradient in the parameters, of one in what is prepared of them."""

    def whole(params: Params) -> tuple[jax.Array, Params]:
        prepared, pull = jax.vjp(prepare, params)
        terms, grads = gradient(prepared)
        return terms, pull(grads)[0]

    return whole
