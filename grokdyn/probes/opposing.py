"""A probe of which rows' losses move most in an update, and what becomes of them in the next one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.models.output import Params
from grokdyn.probes.base import Probe, Shapes, Variable
from grokdyn.probes.groups import fewest_rows, gradient_of
from grokdyn.probes.view import View
from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.rules import Count, Flag
from grokdyn.tasks.shapes import needs_rows_alone


class OpposingGroups(Probe):
    """The train rows whose losses rise and fall most in one update, and in the next (Rosenfeld & Risteski 2023).

    d_i = l_i(w + u) - l_i(w), the change of row i's loss by the update u that the optimizer would make of all train
    rows; d'_i that by the update after it. With R the ``top`` rows of the largest d_i and F those of the smallest, of
    equal ones the first in the run's own order: ``loss_rise`` and ``loss_fall`` are the means of d over R and F,
    ``loss_rise_next`` and ``loss_fall_next`` those of d' over the same rows, ``swapped`` the share of R whose loss
    falls next where it rose, and of F whose loss rises where it fell, among all 2 top rows.
    ``loss_change_correlation``: Spearman's of d and d' over all train rows. ``opposing_cosine``: of the gradients at w
    of the mean losses of R and F; near -1 the two pull against each other. With ``per_row`` also ``loss_change``
    [table_row], d_i of all rows of the table, those that test too.

    The update is that of ``update_norm``: of all train rows, whatever the batches. It costs two gradients of the
    optimizer and three passes over the train rows. A model whose rows see each other has no losses of single rows.
    """

    top: int = field(Count(1, 100_000), default=10, doc="rows of each group")
    per_row: bool = field(Flag(), default=False, doc="the change of the loss of every row of the table too")

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        yield from needs_rows_alone(shapes)
        fewest = fewest_rows(shapes)
        if fewest < 2:
            yield "kind", Words("a single train row"), "at least 2, for two groups"
        elif 2 * self.top > fewest:
            yield "top", self.top, f"at most {fewest // 2}, half of the train rows of every run"

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        found = {
            "loss_rise": Variable("change of the losses that rise most"),
            "loss_fall": Variable("change of the losses that fall most"),
            "loss_rise_next": Variable("next change of the losses that rose most"),
            "loss_fall_next": Variable("next change of the losses that fell most"),
            "swapped": Variable("share of the two groups that moves back"),
            "loss_change_correlation": Variable("rank correlation of a row's two changes of loss"),
            "opposing_cosine": Variable("cosine of the two groups' gradients"),
        }
        if self.per_row:
            axis = {"table_row": np.arange(shapes.signature.rows)}
            found["loss_change"] = Variable("change of a row's loss", dims=("table_row",), coordinates=axis)
        return found

    def measure(self, view: View) -> dict[str, jax.Array]:
        rows, counts = view.rows, view.rows.counts
        after = jax.tree.map(jnp.add, view.params, view.update)
        last = jax.tree.map(jnp.add, after, view.update_after)
        change, following = changes([view.losses_at(w, rows.inputs, rows.labels) for w in (view.params, after, last)])
        rise, fall = (largest(sign * change, counts, self.top) for sign in (1, -1))
        found = {
            "loss_rise": jnp.mean(change[rise]),
            "loss_fall": jnp.mean(change[fall]),
            "loss_rise_next": jnp.mean(following[rise]),
            "loss_fall_next": jnp.mean(following[fall]),
            "swapped": jnp.mean(jnp.concatenate([moved_back(change[i], following[i]) for i in (rise, fall)])),
            "loss_change_correlation": rank_correlation(change, following, counts),
            "opposing_cosine": cosine(*(gradient_of(view, rows)(view.params) for rows in (rise, fall))),
        }
        if self.per_row:
            n = view.experiment.task.signature().rows
            table = jnp.asarray(view.inputs)[:n], view.labels[:n]
            found["loss_change"] = changes([view.row_losses[:n], view.losses_at(after, *table)])[0]
        return found


def changes(losses: list[jax.Array]) -> list[jax.Array]:
    """Return the differences from each to the next, float64."""
    wide = [values.astype(jnp.float64) for values in losses]
    return [after - before for before, after in itertools.pairwise(wide)]


def largest(values: jax.Array, counts: jax.Array, top: int) -> jax.Array:
    """Return the places of the largest values among those that count, int32 [top]; of equal ones the first."""
    return jax.lax.top_k(jnp.where(counts, values, -jnp.inf), top)[1]


def moved_back(change: jax.Array, following: jax.Array) -> jax.Array:
    return (jnp.sign(change) * jnp.sign(following) < 0).astype(jnp.float64)


def cosine(one: Params, other: Params) -> jax.Array:
    """Return the cosine of two trees, float64; nan where either is 0."""
    a, b = ([x.astype(jnp.float64).ravel() for x in jax.tree.leaves(tree)] for tree in (one, other))
    across, aa, bb = (sum(jnp.dot(x, y) for x, y in zip(*pair, strict=True)) for pair in ((a, b), (a, a), (b, b)))
    return across / (jnp.sqrt(aa) * jnp.sqrt(bb))


def rank_correlation(x: jax.Array, y: jax.Array, counts: jax.Array) -> jax.Array:
    """Return Spearman's correlation over the entries that count, equal ones of mean rank; nan where all are equal."""
    n = jnp.sum(counts)

    def centred(values: jax.Array) -> jax.Array:
        ordered = jnp.sort(jnp.where(counts, values, jnp.inf))
        below, upto = (jnp.searchsorted(ordered, values, side=side) for side in ("left", "right"))
        return jnp.where(counts, (below + jnp.minimum(upto, n) + 1) / 2 - (n + 1) / 2, 0.0)

    a, b = centred(x), centred(y)
    return jnp.sum(a * b) / jnp.sqrt(jnp.sum(a * a) * jnp.sum(b * b))
