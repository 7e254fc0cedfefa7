"""Updates that floating point absorbs."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from grokdyn.probes.base import Probe, Shapes, Variable, fits_all
from grokdyn.probes.norms import with_tensors
from grokdyn.probes.view import View


class AbsorbedUpdates(Probe):
    """Share of weights that a step leaves exactly as they are, and of gradient entries that are exactly 0.

    ``absorbed_updates``: w + u == w, u what the optimizer would add now, be it 0 or too small for w (Prieto et al.
    2025, figure 10, where u = -learning_rate g). ``zero_gradient``: g == 0, g the gradient of the training loss.
    """

    conflicts = fits_all

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        return {
            **with_tensors(shapes, "absorbed_updates", "share of weights that the update leaves unchanged"),
            **with_tensors(shapes, "zero_gradient", "share of gradient entries that are exactly 0"),
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        absorbed = jax.tree.map(lambda w, u: w + u == w, view.params, view.update)
        zero = jax.tree.map(lambda g: g == 0, view.gradient)
        return shares("absorbed_updates", absorbed) | shares("zero_gradient", zero)


def shares(name: str, marks: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """Return the share of marked entries over all tensors and in every tensor."""
    marked = jnp.stack([jnp.sum(leaf) for leaf in jax.tree.leaves(marks)]).astype(jnp.float64)
    sizes = jnp.asarray([leaf.size for leaf in jax.tree.leaves(marks)], jnp.float64)
    return {name: jnp.sum(marked) / jnp.sum(sizes), f"{name}_per_tensor": marked / sizes}
