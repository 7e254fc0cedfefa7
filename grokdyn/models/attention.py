"""Multi-head attention over a few tokens, or over many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.models.part import product

# Up to so many tokens, and so many pairs of a query and a token, the loop over them is unrolled.
FEW, FEW_PAIRS = 16, 36


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
        if self.there is not None:
            scores = jnp.where(self.there[: len(scores), :, None], scores, self.least(scores.dtype))
        return scores if self.linear else jax.nn.softmax(scores, axis=0)

    def least(self, dtype: Any) -> jax.Array:
        """Return the score of a token that is not seen."""
        return jnp.asarray(0 if self.linear else jnp.finfo(dtype).min, dtype)


def attend(q: jax.Array, k: jax.Array, v: jax.Array, how: Scores, drop: Callable) -> tuple[jax.Array, jax.Array]:
    """Return the weights, softmax(scale q k + bias) over tokens, and what is read with them, their sum of values.

    Few tokens are a loop, unrolled into operations on whole matrices, in which the sum over a head's columns is a
    product with zeros and ones: on a CPU that takes a quarter of the time of one array over all pairs where there are
    three tokens, as long at five, and many times as long at ten.

    Args:
        q: [queries, rows, d], of the last tokens; k, v: [tokens, rows, d].
        drop: dropout of the weights.

    Returns:
        Weights [queries, tokens, rows, heads] and values [queries, rows, d].
    """
    queries, tokens, d = len(q), *k.shape[::2]
    owner = jnp.asarray(np.repeat(np.eye(how.heads), d // how.heads, axis=0), q.dtype)  # [d, heads]
    if tokens > FEW or queries * tokens > FEW_PAIRS:
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
    """Return the same from arrays over all tokens or pairs at once: the program does not grow with them."""
    if len(q) > 1:
        return over_pairs(q, k, v, how, drop)
    scores = product(q[0] * k, owner) * jnp.asarray(how.scale, q.dtype)  # the last token sees all
    weights = how.weights(scores, None if how.bias is None else how.bias[0])[None]
    read = jnp.sum(product(drop(weights)[0], owner.T) * v, axis=0)
    return weights, read[None]


def over_pairs(q: jax.Array, k: jax.Array, v: jax.Array, how: Scores, drop: Callable) -> tuple[jax.Array, jax.Array]:
    """Return the same of several queries, by a product of queries and keys for every row and head."""
    (queries, rows, d), tokens = q.shape, len(k)

    def by_head(x: jax.Array) -> jax.Array:
        return x.reshape(len(x), rows, how.heads, -1)

    scores = jnp.einsum("qrhd,krhd->rhqk", by_head(q), by_head(k)) * jnp.asarray(how.scale, q.dtype)
    if how.bias is not None:
        scores = scores + jnp.moveaxis(how.bias, -1, 0)
    seen = np.tril(np.ones((tokens, tokens), bool))[tokens - queries :] if how.causal else None
    if how.there is not None:
        there = how.there.T[:, None, None]
        seen = there if seen is None else there & seen
    if seen is not None:
        scores = jnp.where(seen, scores, how.least(scores.dtype))
    weights = jnp.transpose(scores if how.linear else jax.nn.softmax(scores, axis=-1), (2, 3, 0, 1))
    return weights, jnp.einsum("qkrh,krhd->qrhd", drop(weights), by_head(v)).reshape(queries, rows, d)
