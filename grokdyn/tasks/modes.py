"""Targets with given singular values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.spec.base import field
from grokdyn.spec.rules import Count, Number
from grokdyn.tasks.base import Signature, Table, Task
from grokdyn.tasks.signature import Reals, Tokens


class Modes(Task):
    """Learn y_i = sum_k s_k p_ik q_k for items i, s_k = largest * ratio^k (the setting of Saxe et al. 2014, 2019).

    Items enter as tokens, hence one-hot codes, which are white; p_k over items and q_k over outputs are orthonormal,
    and every run draws its own, uniformly, from its split stream. With ``train_fraction = 1`` all items train.
    """

    items: int = field(Count(1, 10_000), default=16, doc="number of rows, and length of a target vector")
    modes: int = field(Count(1, 10_000), default=4, doc="number of singular values that are not 0")
    largest: float = field(Number(0, open_low=True), default=4.0, doc="s_0")
    ratio: float = field(Number(0, 1, open_low=True), default=0.5, doc="of a singular value to the one before")

    drawn = True

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if self.modes > self.items:
            yield "modes", self.modes, f"at most items, {self.items}"

    def signature(self) -> Signature:
        return Signature(Tokens(self.items, 1), Reals(self.items), self.items)

    def draw(self, key: jax.Array) -> Table:
        p, q = (orthonormal(one, self.items, self.modes) for one in jax.random.split(key))
        s = self.largest * jnp.float64(self.ratio) ** jnp.arange(self.modes)
        tokens = jnp.arange(self.items, dtype=jnp.int32)[:, None]
        return Table(tokens, ((p * s) @ q.T).astype(jnp.float32))


def orthonormal(key: jax.Array, rows: int, columns: int) -> jax.Array:
    """Draw orthonormal columns [rows, columns], uniformly, in float64."""
    Q, R = jnp.linalg.qr(jax.random.normal(key, (rows, columns), jnp.float64))
    # Of a decomposition whose R has signs of its own choosing.
    return Q * jnp.sign(jnp.diagonal(R))
