"""Winsorised gradients: the mean of single rows' gradients with the extremes of every entry cut back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from grokdyn.optim.base import Wrapper
from grokdyn.optim.gradient import Gradient
from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.rules import Number
from grokdyn.tasks.shapes import Shapes


class Winsorised(Wrapper):
    """Winsorised descent (Chatterjee & Zielinski 2022): the inner optimizer on the mean of clipped gradients of rows.

    Of every entry the gradients of an update's n rows are clipped to the order statistics k and n - 1 - k, counted from
    0, k = round((n - 1) ``level`` / 100), halves to even: the percentiles ``level`` and 100 - ``level`` of numpy's
    method "nearest". Directions that few rows support are held back; ``level`` = 0 is the plain gradient but for the
    order of its sum. Gradients of all rows are held at once, memory of rows times parameters, and an update costs about
    as many passes over them as k counts. Rows that see each other have no gradients of their own. Outermost of what
    looks at other gradients: SAM in it climbs along winsorised ones.
    """

    level: float = field(Number(0, 50), default=2.0, doc="per cent of the rows cut back at either end")

    reads_rows = True

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        model = shapes.experiment.model
        if model.rows_interact or model.penalised:
            came = Words("a model whose rows have no gradients of their own")
            yield "kind", came, "one without batch statistics and penalties, or another optimizer"
        yield from super().conflicts(shapes)

    def seen(self, gradient: Gradient) -> Gradient:
        return gradient.seen_through(lambda at, params: self.mean(*gradient.of_rows(params)))

    def mean(self, rows: Any, counts: jax.Array) -> Any:
        """Return the winsorised mean of gradients [rows, ...] over those that count."""
        n = jnp.sum(counts)
        k = jnp.round((n - 1) * (self.level / 100)).astype(jnp.int32)

        def of(g: jax.Array) -> jax.Array:
            real = counts.reshape(-1, *(1,) * (g.ndim - 1))
            low, high = order_statistic(g, real, k), -order_statistic(-g, real, k)
            kept = jnp.clip(g, jnp.minimum(low, high), jnp.maximum(low, high))
            return jnp.sum(jnp.where(real, kept, jnp.zeros((), g.dtype)), axis=0) / n.astype(g.dtype)

        return jax.tree.map(of, rows)


def order_statistic(x: jax.Array, counts: jax.Array, k: jax.Array) -> jax.Array:
    """Return the entry k, from 0, of the real entries along the first axis in rising order; k may be traced.

    By k passes, each to the next larger value: a sort costs a CPU more, for the small k of use.
    """
    x = jnp.where(counts, x, jnp.asarray(jnp.inf, x.dtype))

    def climb(_: jax.Array, value: jax.Array) -> jax.Array:
        there = jnp.sum(x <= value, axis=0, dtype=jnp.int32) > k
        larger = jnp.min(jnp.where(x > value, x, jnp.asarray(jnp.inf, x.dtype)), axis=0)
        return jnp.where(there, value, larger)

    return lax.fori_loop(jnp.int32(0), k, climb, jnp.min(x, axis=0))
