"""Modular arithmetic: the table of c = a ∘ b (mod p)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.spec.base import field
from grokdyn.spec.rules import Choice, Count, Flag, Function
from grokdyn.tasks.base import Signature, Table, Task
from grokdyn.tasks.sequence import SEQUENCES, signature_of, written
from grokdyn.tasks.signature import Classes, Vectors


def composite(p: int) -> bool:
    return any(p % k == 0 for k in range(2, int(p**0.5) + 1))


def inverse(b: np.ndarray, p: int) -> np.ndarray:
    return np.asarray([pow(int(x), -1, p) for x in range(1, p)], np.int64)[b - 1]


OPERATIONS: dict[str, Callable[[np.ndarray, np.ndarray, int], np.ndarray]] = {
    "add": lambda a, b, p: a + b,
    "sub": lambda a, b, p: a - b,
    "mul": lambda a, b, p: a * b,
    "div": lambda a, b, p: a * inverse(b, p),
    "x2+y2": lambda a, b, p: a**2 + b**2,
    "x2+xy+y2": lambda a, b, p: a**2 + a * b + b**2,
    "x2+xy+y2+x": lambda a, b, p: a**2 + a * b + b**2 + a,
    "x2+y": lambda a, b, p: a**2 + b,
    "x3+y": lambda a, b, p: a**3 + b,
    "x3+xy": lambda a, b, p: a**3 + a * b,
    "x3+xy2+y": lambda a, b, p: a**3 + a * b**2 + b,
    "div|sub": lambda a, b, p: np.where(b % 2 == 1, a * inverse(b, p), a - b),
    "add|mul": lambda a, b, p: np.where(a % 2 == 0, a + b, a * b),
    "add|sub": lambda a, b, p: np.where(a % 2 == 0, a + b, a - b),
}
# Operations with inverses, which only a prime modulus has for every residue.
DIVISIONS = ("div", "div|sub")


class ModularArithmetic(Task):
    """Learn c = a ∘ b (mod p) from part of its table (Power et al. 2022).

    Rows are the pairs (a, b) in lexicographic order: with residues from 0 row a*p + b, with residues from 1
    row (a-1)*(p-1) + (b-1); ``div`` leaves out b = 0, ``symmetric`` keeps a <= b only, and rows are then numbered
    as they come. The inputs are two tokens below p, the label is a residue below p. The mixed operations are those of
    Power et al. and their code: ``div|sub`` divides by an odd b and subtracts an even one; ``add|mul`` and ``add|sub``
    add to an even a and do the other with an odd one.

    ``sequence`` writes a row with symbols, numbered from p on in the order =, op, <eos>: ``"a b ="`` are the tokens
    (a, b, p) of Nanda et al. (2023). Logits are then over the whole vocabulary, symbols last, as in their code. With
    ``"<eos> a op b = c"`` a row has two answers, c after "=" and <eos> after c, as in the code of Power et al.: its
    loss is their mean, it is right where both are, and the model reads out two tokens (``answers = 2``).

    With ``encoding = "binary"`` the inputs are instead the binary codes of both residues, most significant bit first,
    14 zeros and ones at p = 113 (Prieto et al. 2025). ``permuted``: every run draws, from its split stream, which
    residue has which code, the same for both operands.
    """

    op: str | Callable = field(
        Function(tuple(OPERATIONS), "f(a, b) of two integer arrays"), default="add", doc="the operation; taken mod p"
    )
    p: int = field(Count(2, 2000), default=113, doc="the modulus; prime for div, div|sub")
    pairs: str = field(Choice(("ordered", "symmetric")), default="ordered", doc="all pairs, or those with a <= b")
    first_residue: int = field(Count(0, 1), default=0, doc="residues from 0, or from 1 (leaves out 0)")
    sequence: str = field(Choice(SEQUENCES), default="a b", doc="how a row is written in tokens")
    encoding: str = field(Choice(("tokens", "binary")), default="tokens", doc="of a residue in the inputs")
    permuted: bool = field(Flag(), default=False, doc="residues are given each other's binary codes at random")

    @property
    def drawn(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.permuted

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if self.permuted and self.encoding != "binary":
            yield "permuted", self.permuted, "false, unless encoding = 'binary': a token stands for itself"
        if self.encoding != "tokens" and self.sequence != "a b":
            yield "sequence", self.sequence, "'a b', unless encoding = 'tokens'"
        if self.op in DIVISIONS and composite(self.p):
            yield "p", self.p, f"a prime modulus for op = {self.op!r}"
        if callable(self.op):
            yield from self.problems_of_function()

    def problems_of_function(self) -> Iterator[tuple[str, Any, str]]:
        a, b = self.operands()
        allowed = "a function of two integer arrays that returns whole numbers, one per pair"
        try:
            values = np.asarray(self.op(a, b))  # pyright: ignore[reportCallIssue]
        except Exception as error:  # whatever the user's function raises is told in one line
            yield "op", error, allowed
            return
        if values.shape != a.shape or not np.issubdtype(values.dtype, np.integer):
            yield "op", f"{values.dtype} of shape {values.shape}", allowed

    def operands(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the pairs as two int64 vectors."""
        first = self.first_residue
        a, b = (x.ravel() for x in np.mgrid[first : self.p, first : self.p])
        keep = np.ones_like(a, bool)
        if self.pairs == "symmetric":
            keep &= a <= b
        if self.op == "div":
            keep &= b != 0
        return a[keep], b[keep]

    def signature(self) -> Signature:
        rows = len(self.operands()[0])
        if self.encoding == "binary":
            return Signature(Vectors(2 * self.bits), Classes(self.p), rows)
        return signature_of(self.sequence, self.p, rows)

    @property
    def bits(self) -> int:
        """Length of a residue's binary code."""
        return (self.p - 1).bit_length()

    def table(self) -> Table:
        if self.encoding == "tokens":
            return written(self.sequence, self.p, *self.operands(), self.labels())
        return Table(binary(np.stack(self.operands(), axis=1), self.bits), self.labels())

    def draw(self, key: jax.Array) -> Table:
        codes = jax.random.permutation(key, jnp.arange(self.p, dtype=jnp.int32))
        tokens = np.stack(self.operands(), axis=1)
        return Table(binary(codes[tokens], self.bits), jnp.asarray(self.labels()))

    def labels(self) -> np.ndarray:
        """Return a ∘ b (mod p) [rows]."""
        a, b = self.operands()
        values = self.op(a, b) if callable(self.op) else OPERATIONS[self.op](a, b, self.p)
        return (np.asarray(values) % self.p).astype(np.int32)


def binary(tokens: Any, bits: int) -> Any:
    """Return the codes [rows, 2 * bits] of pairs of tokens, as zeros and ones in float32."""
    places = np.arange(bits - 1, -1, -1, dtype=np.int32)
    return ((tokens[:, :, None] >> places) & 1).reshape(len(tokens), -1).astype(np.float32)
