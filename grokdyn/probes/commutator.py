"""A probe of how much the order of two steps matters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.models.output import Params
from grokdyn.probes.base import Shapes, Variable
from grokdyn.probes.groups import fewest_rows, gradient_of
from grokdyn.probes.over_rows import OverRows
from grokdyn.probes.view import View
from grokdyn.spec.base import field
from grokdyn.spec.rules import Count
from grokdyn.tasks.shapes import needs_rows_alone

# Which draw of the probe's key it takes.
BATCHES = 3


class CommutatorDefect(OverRows):
    """``commutator_defect``: |H_A g_B - H_B g_A| / (|g_A| |g_B|), the median over pairs of batches A, B of train rows.

    g and H are gradient and Hessian of a batch's mean loss. It is what |w_AB - w_BA| / (|r g_A| |r g_B|) tends to for
    small rates r, w_AB after a step of plain descent on A and then one on B (a defect by finite r cancels in narrow
    numbers). ``batch`` rows each, disjoint within a pair, drawn anew at every record. A pair costs about six gradients
    of a batch. A model whose rows see each other has no batches of its own. With ``rows`` batches are drawn from these.
    """

    batch: int = field(Count(1, 100_000), default=16, doc="rows of a batch")
    pairs: int = field(Count(1, 1000), default=5, doc="pairs of batches")

    def fits(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        yield from needs_rows_alone(shapes)
        fewest, whose = fewest_rows(shapes), "the train rows of every run"
        if self.rows is not None:
            fewest, whose = self.rows, f"{self.rows} {self.part} rows"
        if 2 * self.batch > fewest:
            yield "batch", self.batch, f"at most {fewest // 2}, half of {whose}"

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        return {"commutator_defect": Variable("commutator defect of two steps")}

    def measure(self, view: View) -> dict[str, jax.Array]:
        keys = jax.random.split(jax.random.fold_in(view.key, BATCHES), self.pairs)
        return {"commutator_defect": jnp.median(jax.lax.map(lambda key: self.defect(view, key), keys))}

    def batches(self, view: View, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Draw two disjoint batches of train rows, places among ``view.rows``."""
        scores = jax.random.uniform(key, view.rows.counts.shape, jnp.float32)
        drawn = jax.lax.top_k(jnp.where(view.rows.counts, scores, -1.0), 2 * self.batch)[1]
        return drawn[: self.batch], drawn[self.batch :]

    def defect(self, view: View, key: jax.Array) -> jax.Array:
        """Return the defect of one pair."""
        one, other = (gradient_of(view, rows) for rows in self.batches(view, key))
        here, there = one(view.params), other(view.params)
        across = jax.jvp(one, (view.params,), (there,))[1], jax.jvp(other, (view.params,), (here,))[1]
        return length(jax.tree.map(jnp.subtract, *across)) / (length(here) * length(there))


def length(tree: Params) -> jax.Array:
    """Return the norm over all entries, summed in float64."""
    return jnp.sqrt(sum(jnp.sum(jnp.square(x.astype(jnp.float64))) for x in jax.tree.leaves(tree)))
