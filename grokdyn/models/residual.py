"""What a transformer layer reads: the residual stream as it stands, or as tables of a small vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from grokdyn.models.part import product


class Stream(NamedTuple):
    """The residual stream of every position and row.

    Attributes:
        x: [tokens, rows, d].
        normed: x as projections read it, behind a layer norm where there is one.
    """

    x: jax.Array
    normed: jax.Array

    def at(self, first: int) -> jax.Array:
        """Return the stream at positions ``first`` and on [positions, rows, d]."""
        return self.x[first:]

    def project(self, W: jax.Array, first: int) -> jax.Array:
        """Return normed W at positions ``first`` and on."""
        return product(self.normed[first:], W)


class TokenTables(NamedTuple):
    """The stream before the first layer, E[token] + P[position], whose projections are made once per token.

    Where they are linear in it, tokens and positions are projected apart. Behind a norm they are not, and every pair
    of position and token is an entry of the table.

    Attributes:
        tokens: int32 [tokens, rows].
        E: embedding [vocabulary, d]; P: codes of positions [tokens, d], or None.
        entries: int32 [tokens, rows], places in ``table`` [entries, d], the stream as projections read it, to which
            ``added`` [tokens, d] is to be added, if anything.
    """

    tokens: jax.Array
    E: jax.Array
    P: jax.Array | None
    entries: jax.Array
    table: jax.Array
    added: jax.Array | None

    @property
    def worth(self) -> bool:
        """Whether projecting the table takes fewer products than projecting every row's tokens."""
        return len(self.table) + len(self.tokens) < self.tokens.size

    def at(self, first: int) -> jax.Array:
        """Return the stream at positions ``first`` and on [positions, rows, d]."""
        x = self.E[self.tokens[first:]]
        return x if self.P is None else x + self.P[first:, None]

    def project(self, W: jax.Array, first: int) -> jax.Array:
        """Return normed W at positions ``first`` and on."""
        x = (self.table @ W)[self.entries[first:]]
        return x if self.added is None else x + (self.added @ W)[first:, None]


def token_tables(tokens: jax.Array, E: jax.Array, P: jax.Array | None, norm: Callable | None) -> TokenTables:
    """Return the tables of tokens [tokens, rows], for projections behind a norm or directly."""
    if norm is None:
        return TokenTables(tokens, E, P, tokens, E, P)
    if P is None:
        return TokenTables(tokens, E, P, tokens, norm(E), None)
    place = jnp.arange(len(P), dtype=jnp.int32) * jnp.int32(len(E))
    pairs = (E + P[:, None]).reshape(-1, E.shape[1])
    return TokenTables(tokens, E, P, tokens + place[:, None], norm(pairs), None)


def rows_last(inputs: jax.Array, padded: bool) -> tuple[jax.Array, jax.Array | None]:
    """Return tokens [tokens, rows], or vectors [tokens, rows, width], and which of them are no padding [tokens, rows].

    Args:
        inputs: int32 [rows, tokens], or floats [rows, tokens, width].
        padded: whether tokens of -1 are padding; else all are there. Vectors of zeros always are.
    """
    if jnp.issubdtype(inputs.dtype, jnp.integer):
        return (jnp.maximum(inputs.T, 0), inputs.T >= 0) if padded else (inputs.T, None)
    x = jnp.swapaxes(inputs, 0, 1)
    return x, jnp.any(x != 0, axis=-1)
