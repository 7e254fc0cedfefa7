"""How a binary operation is written as a sequence of tokens."""

from __future__ import annotations

import numpy as np

from grokdyn.tasks.base import Signature

SEQUENCES = ("a b", "a b =", "a op b =", "<eos> a op b =")
# Symbols are numbered after the elements, in this order, those that a sequence has.
SYMBOLS = ("=", "op", "<eos>")


def symbols_of(sequence: str) -> list[str]:
    """Return the symbols of a sequence in the order in which they are numbered."""
    return [symbol for symbol in SYMBOLS if symbol in sequence.split()]


def signature_of(sequence: str, elements: int, rows: int) -> Signature:
    """Return the signature of pairs of elements written as a sequence; logits are over the whole vocabulary."""
    symbols = len(symbols_of(sequence))
    vocabulary = elements + symbols
    return Signature(vocabulary, len(sequence.split()), vocabulary, rows, symbols)


def written(sequence: str, elements: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return pairs of elements [rows] as int32 tokens [rows, length of the sequence]."""
    numbered = {symbol: np.full_like(a, elements + i) for i, symbol in enumerate(symbols_of(sequence))}
    return np.stack([(numbered | {"a": a, "b": b})[part] for part in sequence.split()], axis=1).astype(np.int32)
