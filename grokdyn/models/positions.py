"""Where a token stands: codes that are added to it, turns of queries and keys, what scores get by distance."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.models.output import Params

# What is added to the embedding, at absolute places; and what acts on queries and keys by their distance.
ADDED, RELATIVE = ("learned", "sinusoidal"), ("rotary", "alibi", "t5")
POSITIONS = (*ADDED, "none", *RELATIVE)
# Distances that a T5 bias tells apart: so many entries, all distances from FARTHEST on in the last one.
BUCKETS, FARTHEST = 32, 128


def sinusoidal(tokens: int, d: int) -> np.ndarray:
    """Return sin(i / 10000^(2j/d)) in column 2j and the cosine of the same in column 2j + 1 (Vaswani et al. 2017).

    float64 [tokens, d], i the position.
    """
    column = np.arange(d)
    angle = np.arange(tokens)[:, None] / 10_000 ** (2 * (column // 2) / d)
    return np.where(column % 2 == 0, np.sin(angle), np.cos(angle))


def turned(x: jax.Array, first: int, heads: int) -> jax.Array:
    """Return queries or keys turned by their place, so that their products know distances alone (Su et al. 2021).

    Columns 2j and 2j + 1 of every head turn by the angle i / 10000^(2j/d_head), i the position.

    Args:
        x: [tokens, rows, d], at positions ``first`` and on.
    """
    d = x.shape[-1]
    width = d // heads
    column = np.arange(d) % width
    angle = (first + np.arange(len(x)))[:, None] / 10_000 ** (2 * (column // 2) / width)
    sine = np.where(column % 2 == 0, -np.sin(angle), np.sin(angle))[:, None]
    cosine = np.cos(angle)[:, None]
    other = jnp.flip(x.reshape(*x.shape[:-1], d // 2, 2), axis=-1).reshape(x.shape)
    return x * jnp.asarray(cosine, x.dtype) + other * jnp.asarray(sine, x.dtype)


def distances(queries: int, tokens: int) -> np.ndarray:
    """Return how far before each of the last ``queries`` tokens every token stands, int [queries, tokens]."""
    return np.arange(tokens - queries, tokens)[:, None] - np.arange(tokens)


def slopes(heads: int) -> np.ndarray:
    """Return ALiBi's 2^(-8j/heads), j = 1..heads; where heads is no power of two, those of the power of two below it,
    and then every other one of the next (Press et al. 2022).
    """
    power = 1 << (heads.bit_length() - 1)
    found = 2.0 ** (-8 * np.arange(1, power + 1) / power)
    between = 2.0 ** (-4 * np.arange(1, 2 * power, 2) / power)
    return np.concatenate([found, between])[:heads]


def alibi(queries: int, tokens: int, heads: int) -> np.ndarray:
    """Return what ALiBi adds to scores, -slope |distance|, float64 [queries, tokens, heads]."""
    return -np.abs(distances(queries, tokens))[..., None] * slopes(heads)


def buckets(queries: int, tokens: int, causal: bool) -> np.ndarray:
    """Return the entry of a T5 bias for every pair, int [queries, tokens] (Raffel et al. 2020).

    The first half of the entries are one distance each, the others as many ranges of equal ratio up to FARTHEST. Where
    a token sees those after it, they have one half of all entries, the second.
    """
    far = distances(queries, tokens)
    count = BUCKETS if causal else BUCKETS // 2
    behind = 0 if causal else count * (far < 0)
    n = np.maximum(far, 0) if causal else np.abs(far)
    exact = count // 2
    ratio = np.log(np.maximum(n, exact) / exact) / np.log(FARTHEST / exact)
    return behind + np.where(n < exact, n, np.minimum(exact + (ratio * (count - exact)).astype(int), count - 1))


class Positions(NamedTuple):
    """How the tokens of a transformer know where they stand.

    Attributes:
        kind: one of POSITIONS.
        shift: in training a row begins at a position drawn from 0 up to this one.
        heads, causal: of the attention.
    """

    kind: str
    shift: int
    heads: int
    causal: bool

    def codes(self, params: Params, tokens: int) -> jax.Array | None:
        """Return what is added to the embedding at each of the positions [tokens, d_model], if anything."""
        if self.kind == "sinusoidal":
            like = params["W_O_0"]
            return jnp.asarray(sinusoidal(tokens, like.shape[1]), like.dtype)
        return params["W_pos"][:tokens] if self.kind == "learned" else None

    def begin(self, rows: int, key: jax.Array | None, there: jax.Array | None) -> jax.Array | None:
        """Draw the position that each row begins with, int32 [rows]; None where it is 0: without a shift or a key.

        Args:
            there: bool [tokens, rows]: the others, before them, are padding; the first one's position is that drawn, or
                0, so that the row begins below it. None: all are there.
        """
        begin = None
        if self.shift and key is not None:
            begin = jax.random.randint(key, (rows,), 0, self.shift + 1, jnp.int32)
        if there is None or self.kind not in ADDED:
            return begin
        padding = jnp.sum(~there, axis=0, dtype=jnp.int32)
        return -padding if begin is None else begin - padding

    def placed(self, x: jax.Array, params: Params, begin: jax.Array | None) -> jax.Array:
        """Return x [tokens, rows, d_model] with the codes of its positions, if there are any."""
        P = self.codes(params, len(x) + (0 if begin is None else self.shift))
        if P is None:
            return x
        if begin is None:
            return x + P[:, None]
        # Padding stands below 0, where an index counts from the end; nothing sees what it finds there.
        return x + P[begin + jnp.arange(len(x), dtype=jnp.int32)[:, None]]

    def turned(self, x: jax.Array, first: int) -> jax.Array:
        """Return queries or keys [tokens, rows, d_model] of positions ``first`` and on, turned where they are."""
        return turned(x, first, self.heads) if self.kind == "rotary" else x

    def bias(self, params: Params, queries: int, tokens: int) -> jax.Array | None:
        """Return what is added to the scores of the last queries [queries, tokens, heads], if anything."""
        if self.kind == "alibi":
            return jnp.asarray(alibi(queries, tokens, self.heads), params["W_O_0"].dtype)
        return params["W_rel"][buckets(queries, tokens, self.causal)] if self.kind == "t5" else None
