"""How a binary operation is written as a sequence of tokens."""

from __future__ import annotations

import numpy as np

from grokdyn.tasks.base import Signature, Table
from grokdyn.tasks.signature import Classes, Tokens

SEQUENCES = ("a b", "a b =", "a op b =", "<eos> a op b =", "<eos> a op b = c")
# Symbols are numbered after the elements, in this order, those that a sequence has.
SYMBOLS = ("=", "op", "<eos>")


def symbols_of(sequence: str) -> list[str]:
    """Return the symbols of a sequence in the order in which they are numbered."""
    return [symbol for symbol in SYMBOLS if symbol in sequence.split()]


def signature_of(sequence: str, elements: int, rows: int) -> Signature:
    """Return the signature of pairs of elements written as a sequence; logits are over the whole vocabulary."""
    parts, symbols = sequence.split(), symbols_of(sequence)
    vocabulary = elements + len(symbols)
    fixed = tuple(elements + symbols.index(part) if part in symbols else None for part in parts)
    return Signature(
        Tokens(vocabulary, len(parts), fixed), Classes(vocabulary, len(symbols), answers=1 + ("c" in parts)), rows
    )


def written(sequence: str, elements: int, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> Table:
    """Return pairs of elements [rows] and their results as the table of a sequence.

    Where the result is part of the sequence, the <eos> that follows it is asked for too: labels [rows, 2].
    """
    numbered = {symbol: np.full_like(a, elements + i) for i, symbol in enumerate(symbols_of(sequence))}
    known, parts = numbered | {"a": a, "b": b, "c": c}, sequence.split()
    tokens = np.stack([known[part] for part in parts], axis=1).astype(np.int32)
    labels = np.stack([c, known["<eos>"]], axis=1) if "c" in parts else c
    return Table(tokens, labels.astype(np.int32))
