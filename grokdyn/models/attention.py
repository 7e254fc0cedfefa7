"""Multi-head attention over a few tokens, or over many."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.models.part import product

# Up to so many tokens the loop over them is unrolled.
FEW = 16


class Scores(NamedTuple):
    """How scores q k become the weights of attention.

    Attributes:
        heads: head h owns columns h d/heads and on.
        scale: of q k.
        causal: whether a token is blind to those after it.
        linear: weights are the scores themselves, in place of their softmax.
        bias: added to the scaled scores [queries, tokens, heads], for any number of last queries; None: nothing.
        there: bool [tokens, rows]: the others are padding, which nothing sees; None: all.
    """

    heads: int
    scale: float
    causal: bool
    linear: bool = False
    bias: jax.Array | None = None
    there: jax.Array | None = None

    def weights(self, scores: jax.Array, bias: jax.Array | None) -> jax.Array:
        """Return the weights of a query from its scaled scores [tokens seen, rows, heads]."""
        if bias is not None:
            scores = scores + bias[: len(scores), None]
        least = jnp.asarray(0 if self.linear else jnp.finfo(scores.dtype).min, scores.dtype)
        if self.there is not None:
            scores = jnp.where(self.there[: len(scores), :, None], scores, least)
        return scores if self.linear else jax.nn.softmax(scores, axis=0)


def attend(q: jax.Array, k: jax.Array, v: jax.Array, how: Scores, drop: Callable) -> tuple[jax.Array, jax.Array]:
    """Return the weights, softmax(scale q k + bias) over tokens, and what is read with them, their sum of values.

    The sum over a head's columns is a product with zeros and ones. Few tokens are a loop, unrolled into operations on
    whole matrices: on a CPU that takes a third of the time of one array over all pairs.

    Args:
        q: [queries, rows, d], of the last tokens; k, v: [tokens, rows, d].
        drop: dropout of the weights.

    Returns:
        Weights [queries, tokens, rows, heads] and values [queries, rows, d].
    """
    queries, tokens, d = len(q), *k.shape[::2]
    owner = jnp.asarray(np.repeat(np.eye(how.heads), d // how.heads, axis=0), q.dtype)  # [d, heads]
    if tokens > FEW:
        return over_many(q, k, v, how, drop, owner)
    weights = []
    for i in range(queries):
        seen = tokens - queries + i + 1 if how.causal else tokens
        scores = jnp.stack([(q[i] * k[t]) @ owner for t in range(seen)]) * jnp.asarray(how.scale, q.dtype)
        found = how.weights(scores, None if how.bias is None else how.bias[i])
        weights.append(jnp.pad(found, ((0, tokens - seen), (0, 0), (0, 0))))
    dropped = drop(jnp.stack(weights))
    read = [sum((dropped[i, t] @ owner.T) * v[t] for t in range(tokens)) for i in range(queries)]
    return jnp.stack(weights), jnp.stack(read)


def over_many(
    q: jax.Array, k: jax.Array, v: jax.Array, how: Scores, drop: Callable, owner: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return the same query after query, each with all tokens at once: the program does not grow with them."""
    (tokens, rows, _), queries = k.shape, len(q)
    real = jnp.ones((tokens, rows), bool) if how.there is None else how.there
    place = jnp.arange(tokens, dtype=jnp.int32)

    def weigh(one: tuple[jax.Array, jax.Array | None, jax.Array], there: jax.Array | None) -> jax.Array:
        query, added, _ = one
        scores = product(query * k, owner) * jnp.asarray(how.scale, q.dtype)
        return how._replace(there=there).weights(scores, added)

    def before(one: tuple[jax.Array, jax.Array | None, jax.Array]) -> jax.Array:
        return weigh(one, real & (place <= one[2])[:, None] if how.causal else how.there)

    def read(weights: jax.Array) -> jax.Array:
        return jnp.sum(product(weights, owner.T) * v, axis=0)

    if queries == 1:  # the last token sees all
        last = q[0], None if how.bias is None else how.bias[0], place[-1]
        weights = weigh(last, how.there)[None]
        return weights, read(drop(weights)[0])[None]
    weights = jax.lax.map(before, (q, how.bias, place[tokens - queries :]))
    return weights, jax.lax.map(read, drop(weights))
