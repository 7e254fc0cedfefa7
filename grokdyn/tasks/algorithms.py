"""Algorithms on sequences of any length, written as rows of tokens that are longer for longer ones.

Every algorithm writes its rows with gaps; ``packed`` then moves what a row has to its end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

# What stands behind symbols and hints in a vocabulary, in this order.
SPECIAL = ("start", "=", "+", "end")


class Alphabet(NamedTuple):
    """Tokens by number: symbols from 0 on, then hints, then those of SPECIAL."""

    symbols: int
    hints: int = 0

    @property
    def size(self) -> int:
        return self.symbols + self.hints + len(SPECIAL)

    def column(self, name: str, rows: int) -> jax.Array:
        """Return a special token for every row, int32 [rows, 1]."""
        return jnp.full((rows, 1), self.symbols + self.hints + SPECIAL.index(name), jnp.int32)


class Piece(NamedTuple):
    """Tokens of all rows, int32 [rows, places], and which of them a row has, bool [rows, places]; None: all."""

    tokens: jax.Array
    kept: jax.Array | None = None


class Written(NamedTuple):
    """Rows with gaps: what stands before the first answer, its last token being the one that this is read at; and the
    answers, of which all but the last follow in the row."""

    before: list[Piece]
    answers: list[Piece]


class Algorithm(NamedTuple):
    """What a task learns.

    Attributes:
        write: (key, length of every row int32 [rows], the longest, alphabet) -> Written; traced.
        before: how many tokens stand before the first answer in a row of a length.
        answers: how many answers such a row has.
        fewest: the fewest symbols that it needs for a longest length.
        hints: how many hints it has for a longest length.
    """

    write: Callable[[jax.Array, jax.Array, int, Alphabet], Written]
    before: Callable[[int], int]
    answers: Callable[[int], int] = lambda n: 1
    fewest: Callable[[int], int] = lambda n: 2
    hints: Callable[[int], int] = lambda n: 0


def packed(pieces: list[Piece], width: int) -> jax.Array:
    """Return rows of ``width`` numbers that end with those kept, in their order, behind -1."""
    tokens = jnp.concatenate([piece.tokens for piece in pieces], axis=1)
    every = [jnp.ones(p.tokens.shape, bool) if p.kept is None else p.kept for p in pieces]
    kept = jnp.concatenate(every, axis=1)
    order = jnp.argsort(kept, axis=1, stable=True)
    found = jnp.take_along_axis(jnp.where(kept, tokens, -1), order, axis=1)[:, -width:]
    return jnp.pad(found, ((0, 0), (width - found.shape[1], 0)), constant_values=-1).astype(jnp.int32)


def within(length: jax.Array, longest: int) -> jax.Array:
    """Return whether a place is one of the first ``length`` [rows, longest]."""
    return jnp.arange(longest, dtype=jnp.int32) < length[:, None]


def drawn(key: jax.Array, shape: tuple[int, ...], alphabet: Alphabet) -> jax.Array:
    """Return symbols, each as likely as another."""
    return jax.random.randint(key, shape, 0, alphabet.symbols, jnp.int32)


def shuffled(key: jax.Array, rows: int, count: int) -> jax.Array:
    """Return numbers from 0 to ``count`` - 1, each once, in an order of each row's own, int32 [rows, count]."""
    return jnp.argsort(jax.random.uniform(key, (rows, count), jnp.float32), axis=1).astype(jnp.int32)


def asked(content: Piece, ends: list[jax.Array], answer: Any, alphabet: Alphabet) -> Written:
    """Return rows "start content ends" with one answer [rows]."""
    start = alphabet.column("start", len(content.tokens))
    return Written([Piece(start), content, *map(Piece, ends)], [Piece(answer[:, None])])


def first(key: jax.Array, length: jax.Array, longest: int, alphabet: Alphabet) -> Written:
    """Write n symbols and ask for the first."""
    x = drawn(key, (len(length), longest), alphabet)
    return asked(Piece(x, within(length, longest)), [alphabet.column("=", len(x))], x[:, 0], alphabet)


def parity(key: jax.Array, length: jax.Array, longest: int, alphabet: Alphabet) -> Written:
    """Write n symbols and ask for their sum modulo their number."""
    x, kept = drawn(key, (len(length), longest), alphabet), within(length, longest)
    total = jnp.sum(jnp.where(kept, x, 0), axis=1) % alphabet.symbols
    return asked(Piece(x, kept), [alphabet.column("=", len(x))], total, alphabet)


def mode(key: jax.Array, length: jax.Array, longest: int, alphabet: Alphabet) -> Written:
    """Write n symbols and ask for the one that is there most often.

    Where several are, one of them takes the place of the first other symbol, so that there is one answer.
    """
    symbols_key, chance_key = jax.random.split(key)
    x, kept = drawn(symbols_key, (len(length), longest), alphabet), within(length, longest)
    counts = jnp.sum((x[..., None] == np.arange(alphabet.symbols)) & kept[..., None], axis=1)
    answer = jnp.argmax(counts + jax.random.uniform(chance_key, counts.shape, jnp.float32), axis=1)
    tied = jnp.sum(counts == jnp.max(counts, axis=1, keepdims=True), axis=1) > 1
    other = kept & (x != answer[:, None])
    replaced = tied[:, None] & other & (jnp.cumsum(other, axis=1) == 1)
    x = jnp.where(replaced, answer[:, None], x)
    return asked(Piece(x, kept), [alphabet.column("=", len(x))], answer, alphabet)


def recall(key: jax.Array, length: jax.Array, longest: int, alphabet: Alphabet) -> Written:
    """Write n pairs "a b" with a different a each, then one of these a, and ask for its b."""
    a_key, b_key, which_key = jax.random.split(key, 3)
    rows = len(length)
    a, b = shuffled(a_key, rows, alphabet.symbols)[:, :longest], drawn(b_key, (rows, longest), alphabet)
    pairs, kept = jnp.stack([a, b], axis=2).reshape(rows, -1), jnp.repeat(within(length, longest), 2, axis=1)
    which = jax.random.randint(which_key, (rows,), 0, length, jnp.int32)[:, None]
    asked_for, answer = (jnp.take_along_axis(x, which, axis=1) for x in (a, b))
    return asked(Piece(pairs, kept), [alphabet.column("=", rows), asked_for], answer[:, 0], alphabet)


def chain(key: jax.Array, length: jax.Array, longest: int, alphabet: Alphabet) -> Written:
    """Write n facts "a b", each beginning where another ends, in any order; ask where the way from the first a ends."""
    way_key, order_key = jax.random.split(key)
    rows = len(length)
    way, order = shuffled(way_key, rows, alphabet.symbols)[:, : longest + 1], shuffled(order_key, rows, longest)
    facts = jnp.take_along_axis(jnp.stack([way[:, :-1], way[:, 1:]], axis=2), order[..., None], axis=1)
    kept = jnp.repeat(order < length[:, None], 2, axis=1)
    answer = jnp.take_along_axis(way, length[:, None], axis=1)[:, 0]
    ends = [alphabet.column("=", rows), way[:, :1]]
    return asked(Piece(facts.reshape(rows, -1), kept), ends, answer, alphabet)


ONE_ANSWER = {
    "first": Algorithm(first, lambda n: n + 2),
    "mode": Algorithm(mode, lambda n: n + 2),
    "parity": Algorithm(parity, lambda n: n + 2),
    "recall": Algorithm(recall, lambda n: 2 * n + 3, fewest=lambda n: n),
    "chain": Algorithm(chain, lambda n: 2 * n + 3, fewest=lambda n: n + 1),
}
