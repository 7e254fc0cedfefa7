"""Sparse parity: the parity of a few bits among many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.spec.base import field
from grokdyn.spec.rules import Count, Flag
from grokdyn.tasks.base import Signature, Table, Task
from grokdyn.tasks.signature import Classes, Vectors

# Where fewer strings than this per one wanted exist, all are listed and shuffled; beyond, few of those drawn coincide.
DENSE = 16


class SparseParity(Task):
    """Learn the parity of ``bits`` bits, followed by ``noise_bits`` that mean nothing (Prieto et al. 2025, figure 4).

    Every run draws its own ``strings`` distinct bit strings, uniformly, from its split stream. The inputs are zeros
    and ones, the parity bits first; the label is their sum mod 2. With ``fresh`` these strings test, and every update
    draws strings of its own, uniformly among all.
    """

    bits: int = field(Count(1, 60), default=3, doc="bits whose parity is the label")
    noise_bits: int = field(Count(0, 59), default=40, doc="further bits")
    strings: int = field(Count(2, 10_000_000), default=2000, doc="distinct strings, the rows")
    fresh: bool = field(
        Flag(), default=False, doc="every update draws batch_size new strings; the table only tests", kw_only=True
    )

    drawn = True

    @property
    def endless(self) -> bool:
        """Whether every update draws rows of its own."""
        return self.fresh

    @property
    def width(self) -> int:
        """Length of a string."""
        return self.bits + self.noise_bits

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if self.width > 60:
            yield "noise_bits", self.noise_bits, f"at most {60 - self.bits}: strings have up to 60 bits"
        elif self.strings > 2**self.width:
            yield "strings", self.strings, f"at most {2**self.width}, the number of strings of {self.width} bits"

    def signature(self) -> Signature:
        return Signature(Vectors(self.width), Classes(2), self.strings)

    def draw(self, key: jax.Array) -> Table:
        return self.labelled(distinct(key, self.strings, self.width))

    def sample(self, rule: None, key: jax.Array, rows: int) -> Table:
        return self.labelled(jax.random.bits(key, (rows,), jnp.uint64) >> jnp.uint64(64 - self.width))

    def features(self, inputs: jax.Array, labels: jax.Array) -> dict[str, jax.Array]:
        """``ones``: how many entries are 1, and ``label``."""
        return super().features(inputs, labels) | {"ones": jnp.sum(inputs, axis=1)}

    def labelled(self, codes: jax.Array) -> Table:
        """Return the strings of these numbers with their parities."""
        places = jnp.arange(self.width - 1, -1, -1, dtype=codes.dtype)
        bits = ((codes[:, None] >> places) & 1).astype(jnp.int32)
        return Table(bits.astype(jnp.float32), jnp.sum(bits[:, : self.bits], axis=1, dtype=jnp.int32) % 2)


def distinct(key: jax.Array, count: int, bits: int) -> jax.Array:
    """Draw ``count`` distinct integers below 2^bits, uniformly among all such draws: uint64 [count].

    Where they are few among many, numbers are drawn independently, and those that equal an earlier one are drawn
    again until none does. Which are drawn again depends only on which are equal, so no number is favoured.
    """
    if 2**bits <= DENSE * count:
        return jax.random.permutation(key, jnp.arange(2**bits, dtype=jnp.uint64))[:count]

    def draw(turn: jax.Array) -> jax.Array:
        return jax.random.bits(jax.random.fold_in(key, turn), (count,), jnp.uint64) >> jnp.uint64(64 - bits)

    def again(state: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        numbers, double, turn = state
        numbers = jnp.where(double, draw(turn), numbers)
        return numbers, repeated(numbers), turn + 1

    first = draw(jnp.uint32(0))
    state = (first, repeated(first), jnp.uint32(1))
    return jax.lax.while_loop(lambda state: jnp.any(state[1]), again, state)[0]


def repeated(numbers: jax.Array) -> jax.Array:
    """Return bool: whether each number equals an earlier one."""
    order = jnp.argsort(numbers, stable=True)
    ranked = numbers[order]
    same = jnp.concatenate([jnp.zeros(1, bool), ranked[1:] == ranked[:-1]])
    return jnp.zeros_like(same).at[order].set(same)
