"""Gradient descent with momentum."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import optax

from grokdyn.optim.base import Optimizer, zero_trace
from grokdyn.spec.base import field
from grokdyn.spec.rules import Flag, Number


class SGD(Optimizer):
    """Gradient descent: b <- momentum b + g, then step along b, or along g + momentum b (Nesterov).

    As ``torch.optim.SGD`` without dampening: the first b is the first g. ``weight_decay`` is the coupled L2 term.
    """

    momentum: float = field(Number(0, 1, open_high=True), default=0.0, doc="decay of the momentum buffer")
    nesterov: bool = field(Flag(), default=False, doc="look ahead")
    weight_decay: float = field(Number(0), default=0.0, doc="coefficient of w added to the gradient")

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        if self.momentum == 0:
            yield "nesterov", "momentum is 0"

    def coupled(self) -> Any:
        return self.weight_decay

    def largest_curvature(self, step: Any) -> Any:
        bound = (2 + 2 * self.momentum) / (self.learning_rate * self.schedule.factor(step))
        if self.nesterov:
            bound = bound / (1 + 2 * self.momentum)
        # The L2 term adds itself to every eigenvalue.
        return bound - self.weight_decay

    def direction(self) -> optax.GradientTransformation:
        return scale_by_momentum(self.momentum, self.nesterov)


def scale_by_momentum(momentum: Any, nesterov: bool) -> optax.GradientTransformation:
    """Return b with b <- momentum b + g, or g + momentum b; the momentum may be traced."""

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        def fold(g: jax.Array, b: jax.Array) -> jax.Array:
            return g + jnp.asarray(momentum, g.dtype) * b

        buffer = jax.tree.map(fold, updates, state.trace)
        return (jax.tree.map(fold, updates, buffer) if nesterov else buffer), optax.TraceState(trace=buffer)

    return optax.GradientTransformation(zero_trace, update)
