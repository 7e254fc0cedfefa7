"""Lion: sign of an interpolated momentum."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from grokdyn.optim.adam import BETA, wide
from grokdyn.optim.base import Optimizer, zero_trace
from grokdyn.spec.base import field
from grokdyn.spec.rules import Number


class Lion(Optimizer):
    """Lion (Chen et al. 2023): step along sign(b1 m + (1 - b1) g), then m <- b2 m + (1 - b2) g; sign(0) = 0.

    ``weight_decay`` is decoupled and multiplied by the learning rate.
    """

    b1: float = field(BETA, default=0.9, doc="weight of the momentum in the step")
    b2: float = field(BETA, default=0.99, doc="decay of the momentum")
    weight_decay: float = field(Number(0), default=0.0, doc="decoupled weight decay")

    def direction(self) -> optax.GradientTransformation:
        return scale_by_lion(self.b1, self.b2)

    def decay(self) -> Any:
        return self.weight_decay


def scale_by_lion(b1: Any, b2: Any) -> optax.GradientTransformation:
    """Return sign(b1 m + (1 - b1) g); the betas may be traced."""

    def mixed(b: Any, m: jax.Array, g: jax.Array) -> jax.Array:
        return jnp.asarray(b, g.dtype) * m + jnp.asarray(1 - wide(b), g.dtype) * g

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        signs = jax.tree.map(lambda g, m: jnp.sign(mixed(b1, m, g)), updates, state.trace)
        moved = jax.tree.map(lambda g, m: mixed(b2, m, g), updates, state.trace)
        return signs, optax.TraceState(trace=moved)

    return optax.GradientTransformation(zero_trace, update)
