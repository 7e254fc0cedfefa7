"""Loss and gradient over the train rows, whole, in tiles, or on a mini-batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from grokdyn.losses.base import of_rows
from grokdyn.models.output import Mode, Params
from grokdyn.tasks.base import Table
from grokdyn.train.lane import Lane, Program
from grokdyn.train.rows import Rows, function_of, rows_of


class Descent(NamedTuple):
    """What an update makes of the train rows.

    Attributes:
        terms: the mean loss in parts [rows of a tile] whose sum it is. Adding them up would cost a small network
            several per cent of its step, and training reads only whether they are finite.
        gradient: of that sum.
        state: what the model carries on.
    """

    terms: jax.Array
    gradient: Params
    state: Params


# params, or what the model prepares of them -> what an update makes of them.
Gradient = Callable[[Params], Descent]
Loss = Callable[[Params], tuple[jax.Array, tuple[jax.Array, Params]]]
# (logits [rows, outputs], places in the table [rows]) -> what joins the losses of rows [rows].
Term = Callable[[jax.Array, jax.Array], jax.Array]


def mean_loss(
    lane: Lane, rows: Rows, total: jax.Array, step: jax.Array, mode: Mode, state: Params, term: Term | None = None
) -> Loss:
    """Return params -> what training descends at a step: sum of the real rows' losses / divisor, and the penalty of the
    model in the same proportion; with it its terms, and the state after these rows."""
    function, in_force = function_of(replace(lane, moves=None), state), lane.experiment.loss.in_force(step)
    targets = lane.experiment.task.signature().targets

    def loss(params: Params) -> tuple[jax.Array, tuple[jax.Array, Params]]:
        found = function.output(params, rows.inputs, mode, rows.offset)
        losses = of_rows(in_force, found.logits, rows.labels, targets)
        if term is not None:
            losses = losses + term(found.logits, rows.index).astype(losses.dtype)
        if rows.weights is not None:
            losses = losses * rows.weights.astype(losses.dtype)
        terms = jnp.where(rows.counts, losses, jnp.zeros((), losses.dtype))
        divisor = in_force.divisor(total).astype(losses.dtype)
        terms = terms / divisor
        if found.penalty is not None:
            terms = terms.at[0].add(found.penalty.astype(terms.dtype) * (total.astype(terms.dtype) / divisor))
        terms = function.objective(terms)
        return jnp.sum(terms), (terms, state if found.state is None else found.state)

    return loss


def preparation(program: Program, lane: Lane, rows: int, mode: Mode) -> Callable[[Params], Any]:
    """Return params -> what the model reads in their place on so many rows: what it prepares once a step.

    Here the gradient of what does not move goes; what is prepared has another shape, so that it could not later.
    """
    return lambda params: function_of(lane).prepared(params, program.signature, rows, mode)


def in_parts(loss: Loss) -> Gradient:
    """Return params -> (the terms of the loss, its gradient, the state after it)."""
    differentiated = jax.value_and_grad(loss, has_aux=True)

    def gradient(params: Params) -> Descent:
        (_, (terms, state)), grads = differentiated(params)
        return Descent(terms, grads, state)

    return gradient


def full_gradient(
    program: Program,
    lane: Lane,
    rows: Rows,
    step: jax.Array,
    key: jax.Array | None = None,
    state: Params | None = None,
    term: Term | None = None,
) -> Gradient:
    """Return the gradient over all train rows; every tile has a key of its own.

    More rows than a tile are taken tile by tile, as many tiles as this run fills: activations stay in cache, and
    padding costs nothing but the last tile's. What the model prepares of its parameters is made, and its gradient
    taken back to them, once for all tiles. A model whose train rows belong together is passed all of them at once.

    Args:
        state: what the model carries at present; None: what it begins with.
        term: what an optimizer adds to the losses of rows.
    """
    state = first_state(program, lane) if state is None else state
    n_train, tile, mode = lane.split.n_train, program.tile, Mode(True, key)
    mass = amount(rows, n_train)

    def of_tile(part: Rows, i: jax.Array) -> Gradient:
        own = mode if key is None else mode._replace(key=jax.random.fold_in(key, i))
        return in_parts(mean_loss(lane, part, mass, step, own, state, term))

    def over_tiles(prepared: Any) -> Descent:
        def add(i: jax.Array, total: Any) -> Any:
            part = jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, i * tile, tile), rows)
            return jax.tree.map(jnp.add, total, of_tile(part, i)(prepared))

        first = jax.tree.map(lambda x: x[:tile], rows)
        shapes = jax.eval_shape(of_tile(first, jnp.int32(0)), prepared)
        zero = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        return jax.lax.fori_loop(jnp.int32(0), (n_train + tile - 1) // tile, add, zero)

    whole = passed_together(program, lane)
    counts = rows.counts if program.padded else None
    at_once = in_parts(mean_loss(lane, rows, mass, step, mode._replace(counts=counts), state, term))
    return through(preparation(program, lane, program.rows, mode), at_once if whole else over_tiles)


def gradient_over(
    program: Program, lane: Lane, table: Table, places: jax.Array, step: jax.Array, state: Params
) -> tuple[Rows, Callable[[Params], tuple[jax.Array, Params]]]:
    """Return rows of the table as if they trained, and params -> the terms of their loss and its gradient."""
    rows, n = rows_of(program, lane, table, places), places.shape[0]
    lane = replace(lane, split=lane.split._replace(n_train=jnp.int32(n)))
    program = program._replace(rows=rows.counts.shape[0], padded=rows.counts.shape[0] > n)
    descent = full_gradient(program, lane, rows, step, state=state)
    return rows, lambda params: descent(params)[:2]


def passed_together(program: Program, lane: Lane) -> bool:
    """Return whether all train rows are one part of the loss: they fit a tile, or they belong together."""
    model = lane.experiment.model
    return program.rows <= program.tile or model.rows_interact or model.penalised


def batch_gradient(
    program: Program,
    lane: Lane,
    rows: Rows,
    ranks: jax.Array,
    step: jax.Array,
    key: jax.Array | None = None,
    state: Params | None = None,
) -> Gradient:
    """Return the gradient over the rows of the given ranks [batch]."""
    state = first_state(program, lane) if state is None else state
    return over_batch(program, lane, jax.tree.map(lambda x: x[ranks], rows), step, key, state)


def over_batch(
    program: Program,
    lane: Lane,
    batch: Rows,
    step: jax.Array,
    key: jax.Array | None,
    state: Params,
    term: Term | None = None,
) -> Gradient:
    """Return the gradient over the rows of a mini-batch."""
    size, mode = batch.counts.shape[0], Mode(True, key)
    gradient = in_parts(mean_loss(lane, batch, amount(batch, jnp.int32(size)), step, mode, state, term))
    return through(preparation(program, lane, size, mode), gradient)


def row_gradients(
    program: Program, lane: Lane, rows: Rows, step: jax.Array, key: jax.Array | None, state: Params
) -> Callable[[Params], tuple[Params, jax.Array]]:
    """Return params -> the gradients of single rows [rows, ...], whose mean over the real rows is the gradient.

    For models whose rows do not see each other. Dropout is drawn for every row by itself.
    """
    count = jnp.sum(rows.counts, dtype=jnp.int32)
    total = amount(rows, count)

    def of_row(params: Params, row: Rows, i: jax.Array) -> Params:
        mode = Mode(True, None if key is None else jax.random.fold_in(key, i))
        alone = jax.tree.map(lambda x: x[None], row)
        gradient = in_parts(mean_loss(lane, alone, total, step, mode, state))
        found = through(preparation(program, lane, 1, mode), gradient)(params).gradient
        return jax.tree.map(lambda g: g * count.astype(g.dtype), found)

    def gradients(params: Params) -> tuple[Params, jax.Array]:
        numbers = jnp.arange(rows.counts.shape[0], dtype=jnp.int32)
        return jax.vmap(of_row, in_axes=(None, 0, 0))(params, rows, numbers), rows.counts

    return gradients


def amount(rows: Rows, count: jax.Array) -> jax.Array:
    """Return what rows come to in a mean: their number, or where they have weights the sum of these."""
    if rows.weights is None:
        return count
    total = jnp.sum(rows.weights)
    return jnp.where(total > 0, total, jnp.ones((), total.dtype))


def first_state(program: Program, lane: Lane) -> Params:
    return lane.experiment.model.initial_state(program.signature, lane.experiment.dtype)


def through(prepare: Callable[[Params], Any], gradient: Gradient) -> Gradient:
    """Return the gradient in the parameters, of one in what is prepared of them."""

    def whole(params: Params) -> Descent:
        prepared, pull = jax.vjp(prepare, params)
        found = gradient(prepared)
        return found._replace(gradient=pull(found.gradient)[0])

    return whole
