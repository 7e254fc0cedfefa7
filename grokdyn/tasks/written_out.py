"""Algorithms whose result is a sequence, written out token by token until "end"."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.tasks.algorithms import Algorithm, Alphabet, Piece, Written, drawn, shuffled, within


def answered(question: list[Piece], result: Piece, alphabet: Alphabet) -> Written:
    """Return rows "start question =", then the result and "end"."""
    rows = len(result.tokens)
    start, equals, end = (Piece(alphabet.column(name, rows)) for name in ("start", "=", "end"))
    return Written([start, *question, equals], [result, end])


def copy(key: jax.Array, length: jax.Array, longest: int, alphabet: Alphabet) -> Written:
    """Write n symbols again."""
    x = Piece(drawn(key, (len(length), longest), alphabet), within(length, longest))
    return answered([x], x, alphabet)


def copy_unique(key: jax.Array, length: jax.Array, longest: int, alphabet: Alphabet) -> Written:
    """Write n different symbols again."""
    x = Piece(shuffled(key, len(length), alphabet.symbols)[:, :longest], within(length, longest))
    return answered([x], x, alphabet)


def reverse(key: jax.Array, length: jax.Array, longest: int, alphabet: Alphabet) -> Written:
    """Write n symbols from the last to the first."""
    x = Piece(drawn(key, (len(length), longest), alphabet), within(length, longest))
    return answered([x], turned(x), alphabet)


def turned(piece: Piece) -> Piece:
    """Return the same tokens in the other order."""
    assert piece.kept is not None
    return Piece(piece.tokens[:, ::-1], piece.kept[:, ::-1])


def sort(key: jax.Array, length: jax.Array, longest: int, alphabet: Alphabet) -> Written:
    """Write n different symbols by their number."""
    x, kept = shuffled(key, len(length), alphabet.symbols)[:, :longest], within(length, longest)
    rising = jnp.sort(jnp.where(kept, x, alphabet.symbols), axis=1)
    return answered([Piece(x, kept)], Piece(rising, kept), alphabet)


def count(key: jax.Array, length: jax.Array, longest: int, alphabet: Alphabet) -> Written:
    """Write all symbols from a to b, n of them."""
    low = jax.random.randint(key, (len(length),), 0, alphabet.symbols - length + 1, jnp.int32)[:, None]
    ends = jnp.concatenate([low, low + length[:, None] - 1], axis=1)
    passed = jnp.minimum(low + jnp.arange(longest, dtype=jnp.int32), alphabet.symbols - 1)
    return answered([Piece(ends)], Piece(passed, within(length, longest)), alphabet)


def summed(key: jax.Array, length: jax.Array, longest: int, base: int) -> tuple[Piece, Piece, Piece]:
    """Return two numbers of n digits and their sum of n + 1, the last digit first."""
    kept = within(length, longest)
    a, b = (jnp.where(kept, jax.random.randint(k, kept.shape, 0, base, jnp.int32), 0) for k in jax.random.split(key))

    def digit(carry: jax.Array, pair: jax.Array) -> tuple[jax.Array, jax.Array]:
        total = pair + carry
        return total // base, total % base

    carry, digits = jax.lax.scan(digit, jnp.zeros(len(length), jnp.int32), (a + b).T)
    c = jnp.concatenate([digits.T, carry[:, None]], axis=1)
    return Piece(a, kept), Piece(b, kept), Piece(c, within(length + 1, longest + 1))


def add(key: jax.Array, length: jax.Array, longest: int, alphabet: Alphabet) -> Written:
    """Write the sum of two numbers of n digits, all of them with the first digit first."""
    a, b, c = map(turned, summed(key, length, longest, alphabet.symbols))
    return answered([a, Piece(alphabet.column("+", len(length))), b], c, alphabet)


def add_reversed(key: jax.Array, length: jax.Array, longest: int, alphabet: Alphabet) -> Written:
    """Write the sum of two numbers of n digits, all of them with the last digit first."""
    a, b, c = summed(key, length, longest, alphabet.symbols)
    return answered([a, Piece(alphabet.column("+", len(length))), b], c, alphabet)


def add_hints(key: jax.Array, length: jax.Array, longest: int, alphabet: Alphabet) -> Written:
    """Write such a sum with a hint before each digit: digits of one place have one hint, hints are numbered on from one
    that is drawn."""
    key, first_key = jax.random.split(key)
    a, b, c = summed(key, length, longest, alphabet.symbols)
    low = jax.random.randint(first_key, (len(length),), 0, alphabet.hints - length, jnp.int32)[:, None]

    def hinted(piece: Piece) -> Piece:
        hints: Any = alphabet.symbols + low + jnp.arange(piece.tokens.shape[1], dtype=jnp.int32)
        assert piece.kept is not None
        both = jnp.stack([hints, piece.tokens], axis=2).reshape(len(low), -1)
        return Piece(both, jnp.repeat(piece.kept, 2, axis=1))

    return answered([hinted(a), Piece(alphabet.column("+", len(length))), hinted(b)], hinted(c), alphabet)


WRITTEN_OUT = {
    "copy": Algorithm(copy, lambda n: n + 2, lambda n: n + 1),
    "copy_unique": Algorithm(copy_unique, lambda n: n + 2, lambda n: n + 1, lambda n: n),
    "reverse": Algorithm(reverse, lambda n: n + 2, lambda n: n + 1),
    "sort": Algorithm(sort, lambda n: n + 2, lambda n: n + 1, lambda n: n),
    "count": Algorithm(count, lambda n: 4, lambda n: n + 1, lambda n: n),
    "add": Algorithm(add, lambda n: 2 * n + 3, lambda n: n + 2),
    "add_reversed": Algorithm(add_reversed, lambda n: 2 * n + 3, lambda n: n + 2),
    "add_hints": Algorithm(add_hints, lambda n: 4 * n + 3, lambda n: 2 * n + 3, hints=lambda n: n + 1),
}
