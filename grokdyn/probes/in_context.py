"""What a network learns from its prompt, beside what linear predictors learn from it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.probes.base import Probe, Variable
from grokdyn.probes.view import View
from grokdyn.spec.base import field
from grokdyn.spec.rules import Counts
from grokdyn.tasks.in_context import InContextRegression, shortened
from grokdyn.tasks.shapes import Conflicts, Shapes
from grokdyn.theory.in_context import rate

# Of an input's square, what is left of it outside of what earlier ones span is nothing below this share.
LEAST = 1e-10
ENTRIES = ("entry", "query_entry")
WORDS = {
    "in_context_loss": "squared error in context",
    "ridge_loss": "squared error of ridge regression on the prompt",
    "one_step_loss": "squared error of one step of gradient descent on the prompt",
    "ridge_distance": "squared distance of predictions from ridge regression's",
    "one_step_distance": "squared distance of predictions from one step of gradient descent's",
}


class InContext(Probe):
    """Mean squared error by the number of pairs in the prompt, beside those of two predictors, and distances from them.

    The table's prompts are cut to their last n pairs, for every n of ``lengths``. On those pairs, ``ridge`` predicts
    x . (X^T X + s^2 I)^-1 X^T y, the mean under the law of prompts with noise s, which no predictor can better; of
    solutions the least one where s = 0. ``one_step`` predicts x . eta X^T y, eta = 1 / (n + d + 1 + s^2), see
    ``theory.in_context``. ``in_context_loss``, ``ridge_loss``, ``one_step_loss`` are their mean squared errors,
    ``ridge_distance`` and ``one_step_distance`` mean squared differences of the network's predictions from theirs.
    Along ``shown``, the numbers of pairs.

    ``step_matrix`` [entry, query_entry] is the part of the prediction for the query e_j that is odd in y after one pair
    (e_i, 1): A_ij of a layer of linear attention, which predicts sum_i y_i x_i . A x and what no y changes the sign of;
    one step has eta on the diagonal and 0 elsewhere.
    """

    lengths: tuple[int, ...] = field(
        Counts(0, 10_000, increasing=True, empty=True), default=(), doc="numbers of pairs; none: from 0 to the table's"
    )

    def conflicts(self, shapes: Shapes) -> Conflicts:
        yield from super().conflicts(shapes)
        task = shapes.experiment.task
        if not isinstance(task, InContextRegression):
            yield "kind", "in_context", "another probe; or the task in_context_regression"
        elif self.lengths and self.lengths[-1] > task.pairs:
            yield "lengths", list(self.lengths), f"numbers up to {task.pairs}, the pairs of a prompt"

    def of(self, task: Any) -> tuple[int, ...]:
        """Return the numbers of pairs that are asked for."""
        return self.lengths or tuple(range(task.pairs + 1))

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        task = shapes.experiment.task
        axis: dict[str, Any] = {"dims": ("shown",), "coordinates": {"shown": self.of(task)}}
        found = {name: Variable(words, **axis) for name, words in WORDS.items()}
        entries = {name: range(task.dimension) for name in ENTRIES}
        return found | {"step_matrix": Variable("response to one pair", dims=ENTRIES, coordinates=entries)}

    def measure(self, view: View) -> dict[str, jax.Array]:
        task = view.experiment.task
        inputs = jnp.asarray(view.inputs)[: task.prompts]
        target = jnp.asarray(view.clean_labels)[: task.prompts, 0].astype(jnp.float64)
        known = predictors(inputs.astype(jnp.float64), task.noise_std)
        at = jnp.asarray(self.of(task), jnp.int32)

        def of(one: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, ...]:
            length, ridge, step = one
            found = view.function(view.params, shortened(inputs, length))[:, 0].astype(jnp.float64)
            pairs = ((found, target), (ridge, target), (step, target), (found, ridge), (found, step))
            return tuple(jnp.mean(jnp.square(one - other)) for one, other in pairs)

        values = jax.lax.map(of, (at, *(predicted[at] for predicted in known)))
        return dict(zip(WORDS, values, strict=True)) | {"step_matrix": response(view, task)}


def response(view: View, task: Any) -> jax.Array:
    """Return the odd part of what the network predicts for every axis after one pair on every axis [entry, query]."""
    d, one = task.dimension, view.experiment.dtype
    pair, query = (axis.reshape(-1) for axis in jnp.meshgrid(jnp.arange(d), jnp.arange(d), indexing="ij"))
    x, q = jax.nn.one_hot(pair, d + 1, dtype=one), jax.nn.one_hot(query, d + 1, dtype=one)
    empty = jnp.zeros((d * d, task.pairs + 1, d + 1), one).at[:, -1].set(q)
    up, down = (view.function(view.params, empty.at[:, -2].set(x.at[:, -1].set(y)))[:, 0] for y in (1, -1))
    return ((up - down) / 2).reshape(d, d)


def predictors(prompts: jax.Array, noise: Any) -> tuple[jax.Array, jax.Array]:
    """Return what ridge regression and one step of gradient descent predict from the last n pairs [n + 1, rows].

    Ridge regression is the Gaussian posterior of w, pair after pair (Kalman 1960): with gain g = P x / (s^2 + x . P x),
    w <- w + g (y - x . w), P <- P - g (P x)^T, from w = 0 and P = I. Without noise P is the projection on what the
    pairs do not know; a further pair inside of what they know changes nothing.

    Args:
        prompts: [rows, tokens, d + 1], the query the last token, for every n from 0 to tokens - 1.
    """
    rows, tokens, width = prompts.shape
    d, query = width - 1, prompts[:, -1, :-1]
    pairs = jnp.swapaxes(prompts[:, -2::-1], 0, 1)  # [n, rows, d + 1], the last pair first
    products = pairs[..., -1] * jnp.einsum("trd,rd->tr", pairs[..., :-1], query)
    n = jnp.arange(tokens, dtype=prompts.dtype)
    step = rate(n, d, noise)[:, None] * jnp.concatenate([jnp.zeros((1, rows)), jnp.cumsum(products, axis=0)])

    def told(known: tuple[jax.Array, jax.Array], pair: jax.Array) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        (w, P), x, y = known, pair[:, :-1], pair[:, -1]
        Px = jnp.einsum("rde,re->rd", P, x)
        spread = noise**2 + jnp.sum(x * Px, axis=-1)
        new = spread > LEAST * jnp.sum(x * x, axis=-1)
        g = jnp.where(new, 1 / jnp.where(new, spread, 1), 0)[:, None] * Px
        w, P = w + g * (y - jnp.sum(x * w, axis=-1))[:, None], P - g[:, :, None] * Px[:, None]
        return (w, P), jnp.sum(query * w, axis=-1)

    first = jnp.zeros((rows, d)), jnp.broadcast_to(jnp.eye(d), (rows, d, d))
    ridge = jax.lax.scan(told, first, pairs)[1]
    return jnp.concatenate([jnp.zeros((1, rows)), ridge]), step
