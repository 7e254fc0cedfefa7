"""Rank of weight matrices, as real numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.probes.base import Probe, Shapes, Variable
from grokdyn.probes.norms import tensor_names
from grokdyn.probes.view import View
from grokdyn.spec.errors import Words


class Rank(Probe):
    """Effective and stable rank of every matrix of weights, from its singular values s in float64.

    ``effective_rank``: exp(-sum q log q), q = s / sum s (Roy & Vetterli 2007). ``stable_rank``: |W|_F^2 / |W|_2^2 =
    sum s^2 / max s^2. A tensor of more dimensions, such as one matrix a head, counts by the mean over its matrices. A
    matrix of zeros has nan.
    """

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        if not matrices(shapes.params):
            yield "kind", Words("a model without matrices"), "a model with one"

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        axes = {"matrix": list(matrices(shapes.params))}
        return {
            "effective_rank": Variable("effective rank", dims=("matrix",), coordinates=axes),
            "stable_rank": Variable("stable rank", dims=("matrix",), coordinates=axes),
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        values = [singular_values(W) for W in matrices(view.params).values()]
        return {
            "effective_rank": jnp.stack([jnp.mean(effective(s)) for s in values]),
            "stable_rank": jnp.stack([jnp.mean(stable(s)) for s in values]),
        }


def matrices(params: Any) -> dict[str, Any]:
    """Return the tensors of two and more dimensions by name."""
    named = zip(tensor_names(params), jax.tree.leaves(params), strict=True)
    return {name: leaf for name, leaf in named if len(leaf.shape) >= 2}


def singular_values(W: jax.Array) -> jax.Array:
    """Return the singular values of the matrices in a tensor [matrices, values]."""
    stack = W.astype(jnp.float64).reshape(-1, *W.shape[-2:])
    return jnp.linalg.svd(stack, compute_uv=False)


def effective(s: jax.Array) -> jax.Array:
    q = s / jnp.sum(s, axis=-1, keepdims=True)
    return jnp.exp(-jnp.sum(jnp.where(q > 0, q * jnp.log(jnp.where(q > 0, q, 1)), q), axis=-1))


def stable(s: jax.Array) -> jax.Array:
    return jnp.sum(jnp.square(s), axis=-1) / jnp.square(jnp.max(s, axis=-1))
