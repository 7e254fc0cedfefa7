"""Scores of weights that decide before training which are pruned; the largest are kept."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.models.output import Params
from grokdyn.spec.base import put
from grokdyn.tasks.base import Table
from grokdyn.train.gradient import Gradient, full_gradient
from grokdyn.train.lane import Lane, Program, State
from grokdyn.train.rows import function_of, rows_at

# Rounds in which SynFlow prunes.
FLOWS = 100


def snip(program: Program, lane: Lane, state: State, table: Table) -> Params:
    """Return |w dL/dw|, L the mean loss over the train rows (SNIP, Lee et al. 2019)."""
    gradient = descent(program, lane, state, table)(state.params).gradient
    return jax.tree.map(lambda w, g: jnp.abs(w * g), state.params, gradient)


def grasp(program: Program, lane: Lane, state: State, table: Table, temperature: float) -> Params:
    """Return w (H g), H and g of the loss of logits / temperature (GraSP, Wang et al. 2020).

    Taking a weight away changes |g|^2 by -2 w (H g) to first order: kept is what would lessen the gradient's flow most.
    """
    scale = lane.experiment.model.output_scale / temperature
    cooler = replace(lane, experiment=put(lane.experiment, "model.output_scale", scale))

    def gradient(params: Params) -> Params:
        return descent(program, cooler, state, table)(params).gradient

    slope = gradient(state.params)
    curved = jax.jvp(gradient, (state.params,), (slope,))[1]
    return jax.tree.map(jnp.multiply, state.params, curved)


def synflow(
    program: Program,
    lane: Lane,
    state: State,
    table: Table,
    keep: float,
    tensors: tuple[str, ...],
    each: bool,
) -> Params:
    """Return |w| dR/d|w| after pruning to the share keep in a hundred rounds (SynFlow, Tanaka et al. 2020).

    R is the sum of the logits of the network with weights |w|: on an input of ones, or, where inputs are tokens, over
    the train rows. Of what an earlier round has pruned it is -1.

    Args:
        tensors: what is pruned; the others stay.
        each: the share is one of every tensor, not of all together.
    """
    rows = rows_at(program, lane, table, state.step)
    network = partial(function_of(replace(lane, moves=None), state.model).network)
    tokens = jnp.issubdtype(rows.inputs.dtype, jnp.integer)
    inputs = rows.inputs if tokens else jnp.ones_like(rows.inputs[:1])
    counts = rows.counts if tokens else jnp.ones((1,), bool)
    size = jax.tree.map(jnp.abs, state.params)

    def flow(weights: Params) -> jax.Array:
        logits = network(weights, inputs).logits
        return jnp.sum(jnp.where(counts.reshape(-1, *[1] * (logits.ndim - 1)), logits, 0))

    def scored(alive: Params) -> Params:
        present = jax.tree.map(lambda w, a: jnp.where(a, w, 0), size, alive)
        slopes = jax.grad(flow)(present)
        return jax.tree.map(lambda w, g, a: jnp.where(a, w * g, -1), present, slopes, alive)

    def one(i: jax.Array, alive: Params) -> Params:
        share = keep ** ((i + 1) / FLOWS)
        found = scored(alive)
        groups = [[name] for name in tensors] if each else [list(tensors)]
        return alive | {name: mask for group in groups for name, mask in left(found, first, group, share).items()}

    first = jax.tree.map(lambda w: w != 0, size)
    return scored(jax.lax.fori_loop(0, FLOWS, one, first))


def left(scores: Any, first: Any, group: list[str], share: jax.Array) -> dict[str, jax.Array]:
    """Return which entries of some tensors are among the largest share of those that were there at first."""
    flat = jnp.sort(jnp.concatenate([scores[name].ravel() for name in group]))
    there = sum(jnp.sum(first[name]) for name in group)
    kept = jnp.clip(jnp.round(share * there).astype(jnp.int32), 1, flat.size)
    least = flat[flat.size - kept]
    return {name: (scores[name] >= least) & (scores[name] >= 0) for name in group}


def descent(program: Program, lane: Lane, state: State, table: Table) -> Gradient:
    rows = rows_at(program, lane, table, state.step)
    return full_gradient(program, lane, rows, state.step, state=state.model)
