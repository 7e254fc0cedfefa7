"""Naive loss minimisation: how much of learning only scales the logits."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.probes.base import Probe, Shapes, Variable
from grokdyn.probes.norms import with_tensors
from grokdyn.probes.view import View, in_tiles
from grokdyn.tasks.shapes import Conflicts, needs_rows_alone


class NLMAlignment(Probe):
    """Alignment with naive loss minimisation (NLM; Prieto et al. 2025, definition 5): scaling the logits.

    For a network homogeneous in its parameters the weights w themselves are that direction, so ``nlm_gradient`` is
    cos(-g, w), g the gradient of the training loss, and ``nlm_update`` is cos(u, w), u what the optimizer would add
    now; over all parameters as one vector and per tensor.

    What an update does to the train rows' logits f, in any network: with df = (d f / d w) u, to first order,
    ``logit_growth`` is c = <df, f> / <f, f>, the relative growth a step, and ``logit_scaling_share`` is
    |c f|^2 / |df|^2, the part of the change that is a scaling by one factor for all rows and classes.

    A cosine or share of a zero vector is nan.
    """

    def conflicts(self, shapes: Shapes) -> Conflicts:
        yield from super().conflicts(shapes)
        yield from needs_rows_alone(shapes)

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        return {
            **with_tensors(shapes, "nlm_gradient", "cosine of -gradient and weights"),
            **with_tensors(shapes, "nlm_update", "cosine of update and weights"),
            "logit_growth": Variable("relative growth of the logits", "1/step"),
            "logit_scaling_share": Variable("share of the logits' change that scales them"),
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        descent = jax.tree.map(jnp.negative, view.gradient)
        along, logits_squared, change_squared = change_of_logits(view)
        return {
            **cosines("nlm_gradient", descent, view.params),
            **cosines("nlm_update", view.update, view.params),
            "logit_growth": along / logits_squared,
            "logit_scaling_share": along * along / (logits_squared * change_squared),
        }


def change_of_logits(view: View) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return <df, f>, <f, f> and <df, df> over the train rows, in float64, tile after tile."""
    update = view.update  # made here: what is made inside a loop stays there

    def of(part: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        inputs, counts = part
        f, df = jax.jvp(lambda params: view.function(params, inputs), (view.params,), (update,))

        def inner(a: jax.Array, b: jax.Array) -> jax.Array:
            return jnp.sum(jnp.where(counts[:, None], a.astype(jnp.float64) * b.astype(jnp.float64), 0.0))

        return inner(df, f), inner(f, f), inner(df, df)

    tiles = view.rows.counts.shape[0] // view.tile
    parts = jax.tree.map(lambda x: in_tiles(x, tiles, view.tile), (view.rows.inputs, view.rows.counts))
    along, logits_squared, change_squared = (jnp.sum(terms) for terms in jax.lax.map(of, parts))
    return along, logits_squared, change_squared


def cosines(name: str, a: Any, b: Any) -> dict[str, jax.Array]:
    """Return the cosine of two parameter trees as vectors, and of every tensor, in float64."""

    def inner(x: Any, y: Any) -> jax.Array:
        pairs = zip(jax.tree.leaves(x), jax.tree.leaves(y), strict=True)
        return jnp.stack([jnp.sum(u.astype(jnp.float64) * v.astype(jnp.float64)) for u, v in pairs])

    ab, aa, bb = inner(a, b), inner(a, a), inner(b, b)
    overall = jnp.sum(ab) / jnp.sqrt(jnp.sum(aa) * jnp.sum(bb))
    return {name: overall, f"{name}_per_tensor": ab / jnp.sqrt(aa * bb)}
