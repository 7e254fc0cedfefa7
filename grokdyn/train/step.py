"""One update of one run, and a stretch of updates with records in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.models.output import Params
from grokdyn.optim.base import moved
from grokdyn.optim.gradient import Gradient, known_at
from grokdyn.probes.cadence import measured, together
from grokdyn.probes.view import View, by_tiles
from grokdyn.tasks.base import Table
from grokdyn.tasks.streams import split_keys, stream
from grokdyn.train.gradient import (
    Descent,
    Term,
    batch_gradient,
    full_gradient,
    gradient_over,
    over_batch,
    passed_together,
    row_gradients,
)
from grokdyn.train.lane import NON_FINITE, OK, Lane, Program, State
from grokdyn.train.rows import Rows, beheld, fresh_rows, function_of, lasting_rows
from grokdyn.train.transformed import chosen, rows_of_update

# A step that no run reaches.
NEVER = np.int32(np.iinfo(np.int32).max)


def advance(
    program: Program,
    lane: Lane,
    state: State,
    shared: Table | None,
    stretches: jax.Array,
    due: Mapping[str, jax.Array] = MappingProxyType({}),
) -> tuple[State, dict[str, jax.Array]]:
    """Run stretches of silent updates with a record after each.

    Args:
        stretches: int32 [records], updates before each record; read from un-batched data, so that the loops over
            them stay plain loops under ``vmap``.
        due: cadence of probes -> bool [records], at which of them these measure, see ``probes.cadence``; read from
            un-batched data too. Probes of a cadence that is not there measure always.

    Returns:
        The state after all of them, and every probe's values, stacked on a leading axis [records].
    """
    table = cast(Table, lane.table if shared is None else shared)
    rows = lasting_rows(program, lane, table)

    parts = program.rows if passed_together(program, lane) else program.tile
    parts = parts if rows is None else lane.experiment.batch_size or parts
    never = jnp.full((parts,), NEVER, jnp.int32)

    def stretch(state: State, ahead: tuple[jax.Array, dict[str, jax.Array]]) -> tuple[State, dict[str, jax.Array]]:
        updates, wanted = ahead

        def one(_: jax.Array, carry: tuple[State, jax.Array]) -> tuple[State, jax.Array]:
            state, broke_at = carry
            new, loss = update(program, lane, rows, state)
            return new, jnp.where(jnp.isfinite(loss), broke_at, jnp.minimum(broke_at, state.step))

        state, broke_at = jax.lax.fori_loop(jnp.int32(0), updates, one, (state, never))
        state = marked(state, jnp.min(broke_at))
        view = view_of(program, lane, rows, state, table)
        found, others = together(lane.experiment.probes, view, wanted)
        # The last update may have broken parameters whose loss no update has looked at yet.
        fine = finite(state.params) & jnp.isfinite(found.get("train_loss", jnp.zeros(())))
        return marked(state, jnp.where(fine, NEVER, state.step)), found | others

    return jax.lax.scan(stretch, state, (stretches, dict(due)))


def update(program: Program, lane: Lane, rows: Rows | None, state: State) -> tuple[State, jax.Array]:
    """Make one optimizer update; return the new state, and the loss before it in parts [rows of a tile].

    Where there are no rows that train all the time, this update draws its own.

    A run whose loss is not finite goes on: the host drops its later records and leaves it out of the next chunk.
    Choosing between old and new values of every parameter in every step would cost a tenth of a small network's time.
    """
    optimizer = lane.experiment.optimizer
    key = training_key(program, lane, state.step)
    if lane.experiment.transforms:
        whole = rows is None or lane.experiment.batch_size is None
        ranks, (order, rows) = None, transformed(program, lane, rows, state)
        gradient = (full_gradient if whole else over_batch)(program, lane, rows, state.step, key, state.model)
    elif rows is None or lane.experiment.batch_size is None:
        rows = fresh_rows(program, lane, state.step) if rows is None else rows
        order, ranks = state.order, None
        gradient = full_gradient(program, lane, rows, state.step, key, state.model)
    else:
        order, ranks = draw_batch(program, lane, state)
        gradient = batch_gradient(program, lane, rows, ranks, state.step, key, state.model)
    loss, grads, carried = gradient(state.params)
    given = as_function(program, lane, state, gradient, grads, rows, ranks, key)
    updates, memory = moved(optimizer, given, state.optimizer, state.params)
    params = jax.tree.map(jnp.add, state.params, moving(lane, updates))
    step = state.step + jnp.int32(1)
    return replace(state, params=params, optimizer=memory, order=order, model=carried, step=step), loss


def transformed(program: Program, lane: Lane, rows: Rows | None, state: State) -> tuple[jax.Array | None, Rows]:
    """Return the order of rows after this update, and the rows that it descends on, as transforms make them."""
    if rows is None:
        return state.order, rows_of_update(program, lane, fresh_rows(program, lane, state.step), state)
    if lane.experiment.batch_size is None:
        return state.order, rows_of_update(program, lane, rows, state)
    order, ranks = draw_batch(program, lane, state)
    return order, rows_of_update(program, lane, rows, state, ranks)


def as_function(
    program: Program,
    lane: Lane,
    state: State,
    descent: Callable[[Params], Descent],
    here: Params,
    rows: Rows,
    ranks: jax.Array | None = None,
    key: jax.Array | None = None,
) -> Gradient:
    """Return what the optimizer is given, from what it descends and the gradient at the present parameters.

    Wherever it looks, what was pruned or frozen is as it is.

    Args:
        ranks: of the rows of a batch; None: all train rows.
        key: of what the model draws.
    """

    def own_key() -> jax.Array:
        return jax.random.fold_in(jax.random.fold_in(stream(lane.experiment, "batch"), NEVER - 1), state.step)

    def at(params: Params) -> Params:
        return descent(held(lane, params, state.params)).gradient

    def batch() -> Rows:
        return rows if ranks is None else jax.tree.map(lambda x: x[ranks], rows)

    def of_rows(params: Params) -> tuple[Params, jax.Array]:
        single = row_gradients(program, lane, batch(), state.step, key, state.model)
        return single(held(lane, params, state.params))

    def logits_of_rows(params: Params) -> tuple[jax.Array, jax.Array]:
        function, seen = function_of(lane, state.model), batch()
        logits = by_tiles(lambda x: function(held(lane, params, state.params), x), seen.inputs, program.tile)
        return logits, seen.index

    def with_term(params: Params, term: Term) -> Params:
        over = full_gradient if ranks is None else over_batch
        found = over(program, lane, batch(), state.step, key, state.model, term)
        return found(held(lane, params, state.params)).gradient

    known = known_at(state.params, here, at)
    return Gradient(known, state.step, own_key, of_rows, logits_of_rows, with_term)


def held(lane: Lane, params: Params, present: Params) -> Params:
    """Return parameters, those that were pruned or frozen as they are at present."""
    if lane.moves is None:
        return params
    return jax.tree.map(jnp.where, lane.moves, params, present)


def moving(lane: Lane, updates: Params) -> Params:
    """Return updates, none of what was pruned or frozen, whatever the optimizer makes of its neighbours."""
    if lane.moves is None:
        return updates
    return jax.tree.map(lambda m, u: jnp.where(m, u, jnp.zeros((), u.dtype)), lane.moves, updates)


def marked(state: State, broke_at: jax.Array) -> State:
    """Return the state with its first divergence noted, which happened at a step, or ``NEVER``."""
    first = (state.status == OK) & (broke_at < NEVER)
    return replace(
        state,
        status=jnp.where(first, jnp.int32(NON_FINITE), state.status),
        diverged_at=jnp.where(first, broke_at, state.diverged_at),
    )


def finite(tree: Any) -> jax.Array:
    """Return whether all entries of all arrays are finite; looked at as one vector, a kernel for all."""
    return jnp.all(jnp.isfinite(jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)])))


def training_key(program: Program, lane: Lane, step: jax.Array) -> jax.Array | None:
    """Return the key of what the model draws in this update, such as dropout; None where no run draws anything.

    Where a batch is drawn, ``draw_batch`` uses up the stream's key of this step: with 1 folded in it is the block of
    which ``uniform`` makes its second number, and the second key that ``randint`` splits it into. The model's keys then
    come from that of a step that no run reaches. Without batches nothing else is drawn from the step's key.
    """
    if not program.stochastic:
        return None
    key = stream(lane.experiment, "batch")
    if lane.experiment.batch_size is None:
        return jax.random.fold_in(jax.random.fold_in(key, step), 1)
    return jax.random.fold_in(jax.random.fold_in(key, NEVER), step)


def draw_batch(program: Program, lane: Lane, state: State) -> tuple[jax.Array | None, jax.Array]:
    """Return the order of rows after this update, and the ranks [batch] of the rows of this one.

    Without replacement, n // batch updates make a pass in a fresh random order and the rest of the rows sits it out
    (``drop_last``); with replacement, every row is drawn uniformly.
    """
    size, n_train = lane.experiment.batch_size, lane.split.n_train
    key = jax.random.fold_in(stream(lane.experiment, "batch"), state.step)
    if state.order is None:
        return None, jax.random.randint(key, (size,), 0, n_train, jnp.int32)
    place = state.step % jnp.maximum(n_train // size, 1)

    def shuffled() -> jax.Array:
        scores = jax.random.uniform(key, (program.rows,), jnp.float32)
        return jnp.argsort(jnp.where(jnp.arange(program.rows) < n_train, scores, 2.0)).astype(jnp.int32)

    order = jax.lax.cond(place == 0, shuffled, lambda: state.order)
    return order, jax.lax.dynamic_slice_in_dim(order, place * size, size)


def record(program: Program, lane: Lane, rows: Rows | None, state: State, table: Table) -> dict[str, jax.Array]:
    """Measure every probe of the experiment on the present state, whatever its cadence."""
    return measured(lane.experiment.probes, view_of(program, lane, rows, state, table))


def view_of(
    program: Program, lane: Lane, rows: Rows | None, state: State, table: Table, kind: type[View] = View
) -> View:
    """Return what probes see of the present state; of fresh rows, those of the next update."""
    experiment = lane.experiment
    if rows is None:
        rows = fresh_rows(program, lane, state.step)
        lane, table = beheld(lane, table, rows)

    descent = full_gradient(program, lane, rows, state.step, state=state.model)

    def terms_and_gradient(params: Params) -> tuple[jax.Array, Params]:
        return descent(params)[:2]

    return kind(
        experiment=experiment,
        table=table,
        rows=rows,
        tile=program.tile,
        split=lane.split,
        params=state.params,
        initial_params=lane.initial_params,
        function=function_of(lane, state.model),
        step=state.step,
        key=jax.random.fold_in(stream(experiment, "probe"), state.step),
        terms_and_gradient=terms_and_gradient,
        optimizer_state=state.optimizer,
        table_key=split_keys(experiment)[1],
        ahead=lambda here: ahead(program, lane, state, descent, here, rows),
        noisy=program.noisy,
        transformed=lambda: transformed(program, lane, None if experiment.task.endless else rows, state)[1],
        chosen=lambda: chosen(program, lane, rows, state),
        others=lambda places: gradient_over(program, lane, table, places, state.step, state.model),
    )


def ahead(
    program: Program, lane: Lane, state: State, descent: Callable[[Params], Descent], here: Params, rows: Rows
) -> tuple[Params, Callable[[], Params]]:
    """Return the update that probes see, over all of these rows and without dropout, and what gives the next one.

    Args:
        descent: what that update descends; here: the gradient at the present parameters.
    """
    optimizer = lane.experiment.optimizer
    given = as_function(program, lane, state, descent, here, rows)
    updates, memory = moved(optimizer, given, state.optimizer, state.params)
    updates = moving(lane, updates)

    def then() -> Params:
        params = jax.tree.map(jnp.add, state.params, updates)
        after = replace(state, params=params, optimizer=memory, step=state.step + jnp.int32(1))
        descent = full_gradient(program, lane, rows, after.step, state=state.model)
        given = as_function(program, lane, after, descent, descent(params).gradient, rows)
        return moving(lane, moved(optimizer, given, memory, params)[0])

    return updates, then
