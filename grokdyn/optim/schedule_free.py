"""Schedule-free averaging: descend at a mixture of the iterates and their average, measure the average."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from grokdyn.optim.adam import BETA
from grokdyn.optim.base import Wrapper
from grokdyn.optim.gradient import Gradient
from grokdyn.spec.base import field
from grokdyn.spec.rules import Number


class ScheduleFree(Wrapper):
    """Schedule-free averaging (Defazio et al. 2024): the inner optimizer moves z by the gradient at y.

    y = (1 - beta) z + beta x, z <- z + u(y), x <- (1 - c) x + c z, c = (1 + power) / (t + 1 + power) after t updates,
    u the inner optimizer's update, its decay that of y. x is what is measured and stored, the average of the z, by
    weights that grow as t^power (Shamir & Zhang 2013; the paper's weights are those of ``power`` = 0 at a constant
    rate). Set the inner momentum to 0: beta takes its place. The loss that training watches, at x, costs a pass.
    """

    beta: float = field(BETA, default=0.9, doc="share of the average where the gradient is taken")
    power: float = field(Number(0), default=0.0, doc="how much later iterates weigh more")

    def estimate(self, gradient: Gradient, params: Any, memory: Any) -> tuple[Any, Any]:
        found, inner = self.inner.estimate(gradient, self.between(params, memory.z), memory.inner)
        return found, memory._replace(inner=inner)

    def between(self, x: Any, z: Any) -> Any:
        """Return y."""
        return jax.tree.map(lambda a, b: b + jnp.asarray(self.beta, b.dtype) * (a - b), x, z)

    def transform(self) -> optax.GradientTransformation:
        inner = self.inner.transform()

        def init(params: Any) -> AverageState:
            return AverageState(jnp.zeros((), jnp.int32), params, inner.init(params))

        def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
            moved, memory = inner.update(updates, state.inner, self.between(params, state.z))
            z = jax.tree.map(lambda z, u: z + u.astype(z.dtype), state.z, moved)
            c = (1 + self.power) / (state.count + 1 + self.power)
            change = jax.tree.map(lambda x, z: jnp.asarray(c, x.dtype) * (z - x), params, z)
            return change, AverageState(state.count + jnp.ones((), jnp.int32), z, memory)

        return optax.GradientTransformation(init, update)


class AverageState(NamedTuple):
    """Number of updates, the iterate z, and the inner optimizer's state."""

    count: jax.Array
    z: Any
    inner: Any
