"""SAM: the gradient of a worst point nearby."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.optim.base import Wrapper
from grokdyn.optim.gradient import Gradient
from grokdyn.optim.perpgrad import dot, scaled
from grokdyn.spec.base import field
from grokdyn.spec.rules import Flag, Number


class SAM(Wrapper):
    """Sharpness-aware minimisation (Foret et al. 2021): the inner optimizer on the gradient at w + e.

    e = rho g / |g|, g the gradient at w and |.| the norm over all parameters; ``adaptive``: e = rho w^2 g / | |w| g |,
    entry by entry (Kwon et al. 2021). A zero gradient has e = 0. Both gradients are those of the same rows, with the
    same dropout. Every update costs two gradients; the loss that is recorded is that at w. Norms are summed in float64.
    """

    rho: float = field(Number(0), default=0.05, doc="length of the step up")
    adaptive: bool = field(Flag(), default=False, doc="measure the step relative to the weights")

    @property
    def gradients(self) -> int:
        return 2 * self.inner.gradients

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        if self.rho == 0:
            yield "adaptive", "rho is 0"

    def seen(self, gradient: Gradient) -> Gradient:
        return gradient.seen_through(lambda at, params: at(self.uphill(params, at(params))))

    def uphill(self, params: Any, gradient: Any) -> Any:
        """Return w + e, from the parameters w and the gradient there."""
        sizes = jax.tree.map(jnp.abs, params) if self.adaptive else jax.tree.map(jnp.ones_like, params)
        # Of order 1 by a power of two, which rounds nothing and drops out: its product with weights is in range.
        leaves, tree = jax.tree.flatten(gradient)
        slope = jax.tree.map(jnp.multiply, sizes, tree.unflatten(scaled(leaves)[0]))
        leaves = jax.tree.leaves(slope)
        norm = jnp.sqrt(dot(leaves, leaves))
        factor = jnp.where(norm > 0, self.rho / jnp.where(norm > 0, norm, 1), 0)
        # Tensor by tensor: a factor of 1/|g| may be out of float32's range, its product with g is not.
        return jax.tree.map(lambda w, a, s: w + (factor * (a * s)).astype(w.dtype), params, sizes, slope)
