"""In how many dimensions the gradients of single rows lie."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from grokdyn.probes.base import Shapes, Variable
from grokdyn.probes.gradients import GradientProbe
from grokdyn.probes.view import View
from grokdyn.spec.base import field
from grokdyn.spec.rules import Number


class GradientSubspace(GradientProbe):
    """Dimension of the space that the gradients of single rows span, from the eigenvalues l of their products G.

    They are the eigenvalues of sum_i g_i g_i^T. ``gradient_participation``: (sum l)^2 / sum l^2, as many as there are
    where all are equal. ``gradient_dimension``: the fewest eigenvectors that hold ``share`` of sum l. At most ``rows``
    either. Where all gradients are 0, nan.
    """

    share: float = field(Number(0, 1), default=0.9, doc="of the sum of squared gradients, in the subspace")

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        return {
            "gradient_participation": Variable("participation ratio of rows' gradients"),
            "gradient_dimension": Variable("dimension of rows' gradients"),
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        values = jnp.maximum(jnp.linalg.eigvalsh(self.gram(view).astype(jnp.float64))[::-1], 0)
        total = jnp.sum(values)
        # One fewer would not do: as many as there are sums of the largest below the share, and one.
        count = jnp.sum(jnp.cumsum(values)[:-1] < self.share * total) + 1
        there = total > 0
        return {
            "gradient_participation": total**2 / jnp.sum(values**2),
            "gradient_dimension": jnp.where(there, count.astype(jnp.float64), jnp.nan),
        }
