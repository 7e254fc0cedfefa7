"""Regression in context: every prompt has a teacher of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.spec.base import field
from grokdyn.spec.rules import Count, Counts, Number
from grokdyn.tasks.base import Signature, Table, Task
from grokdyn.tasks.regression import MOST_POINTS
from grokdyn.tasks.signature import Reals, Sequences


class InContextRegression(Task):
    """Predict y of a query from n pairs (x_i, y_i) before it, y = w . x + e, with w drawn anew for every prompt.

    x ~ N(0, I_d), w ~ N(0, I_d), e ~ N(0, noise_std^2), also in the target (Garg et al. 2022; Mahankali et al. 2023). A
    prompt is a sequence of n + 1 vectors of length d + 1, [x_i, y_i] and the query [x, 0]. Every update draws
    ``batch_size`` prompts; the ``prompts`` of the table, all of them of ``pairs`` pairs, only test. With
    ``train_pairs`` (a, b) a prompt of training has a number of pairs drawn uniformly from a..b; vectors of zeros stand
    in front of it, which a transformer does not see.
    """

    dimension: int = field(Count(1, 1000), default=5, doc="d, length of an input x")
    pairs: int = field(Count(1, 10_000), default=10, doc="n, pairs of a prompt that tests")
    prompts: int = field(Count(2, MOST_POINTS), default=1000, doc="prompts that test")
    noise_std: float = field(Number(0), default=0.0, doc="standard deviation of e")
    train_pairs: tuple[int, ...] = field(
        Counts(1, 10_000, empty=True),
        default=(),
        doc="fewest and most pairs of a prompt in training; none: all have as many",
    )

    drawn, endless = True, True

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        given = self.train_pairs
        if given and (len(given) != 2 or list(given) != sorted(given) or given[1] > self.pairs):
            yield "train_pairs", list(given), f"two numbers, the fewest and the most, up to {self.pairs}"

    @property
    def lengths(self) -> range:
        """Numbers of pairs that prompts have in training, one as likely as another."""
        low, high = self.train_pairs or (self.pairs, self.pairs)
        return range(low, high + 1)

    def signature(self) -> Signature:
        return Signature(Sequences(self.pairs + 1, self.dimension + 1), Reals(1), self.prompts)

    def draw(self, key: jax.Array) -> Table:
        return self.prompted(key, self.prompts)

    def sample(self, rule: Any, key: jax.Array, rows: int) -> Table:
        inputs, targets = self.prompted(key, rows)
        if not self.train_pairs:
            return Table(inputs, targets)
        low, high = self.train_pairs
        length = jax.random.randint(jax.random.fold_in(key, 1), (rows,), low, high + 1, jnp.int32)
        return Table(shortened(inputs, length), targets)

    def prompted(self, key: jax.Array, rows: int) -> Table:
        """Draw prompts of ``pairs`` pairs, in float32, with their targets [rows, 1]."""
        n, d = self.pairs + 1, self.dimension
        drawn = jax.random.normal(key, (rows, d * (n + 1) + n), jnp.float32)
        x, w, e = drawn[:, : n * d].reshape(rows, n, d), drawn[:, n * d : (n + 1) * d], drawn[:, (n + 1) * d :]
        y = jnp.sum(x * w[:, None], axis=-1) + jnp.asarray(self.noise_std, jnp.float32) * e
        shown = y.at[:, -1].set(0)
        return Table(jnp.concatenate([x, shown[..., None]], axis=-1), y[:, -1:])


def shortened(inputs: jax.Array, length: Any) -> jax.Array:
    """Return prompts of which only the last pairs are left, zeros in front of them.

    Args:
        inputs: [rows, tokens, width]; length: the number of pairs, of all prompts or of each [rows].
    """
    tokens = inputs.shape[1]
    there = jnp.arange(tokens, dtype=jnp.int32) >= tokens - 1 - jnp.reshape(jnp.asarray(length, jnp.int32), (-1, 1))
    return jnp.where(there[..., None], inputs, jnp.zeros((), inputs.dtype))
