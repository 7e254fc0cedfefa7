"""Grokfast: the slow part of the gradients amplified."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from grokdyn.optim.adam import rounded, wide
from grokdyn.optim.base import Wrapper
from grokdyn.spec.base import field
from grokdyn.spec.rules import Count, Number


class GrokfastEMA(Wrapper):
    """Grokfast with an exponential mean (Lee et al. 2024): the inner optimizer on g + lamb h, see ``grokfast_ema``.

    An L2 term of the inner optimizer is added afterwards and is not amplified.
    """

    alpha: float = field(Number(0, 1), default=0.98, doc="decay of the mean")
    lamb: float = field(Number(), default=2.0, doc="lambda, weight of the mean")

    def transform(self) -> optax.GradientTransformation:
        return optax.chain(grokfast_ema(self.alpha, self.lamb), self.inner.transform())


class GrokfastMA(Wrapper):
    """Grokfast with a window mean (Lee et al. 2024): the inner optimizer on g + lamb h, see ``grokfast_ma``.

    The window is kept: ``window`` times the parameters, read in every step.
    """

    window: int = field(Count(1, 100_000), default=100, doc="gradients in the mean")
    lamb: float = field(Number(), default=5.0, doc="lambda, weight of the mean")

    def transform(self) -> optax.GradientTransformation:
        return optax.chain(grokfast_ma(self.window, self.lamb), self.inner.transform())


class MeanState(NamedTuple):
    """Number of updates so far, int32, and the exponential mean of the gradients."""

    count: jax.Array
    mean: Any


class WindowState(NamedTuple):
    """Number of updates so far, int32, and the last gradients [window, ...]."""

    count: jax.Array
    last: Any


def grokfast_ema(alpha: Any = 0.98, lamb: Any = 2.0) -> optax.GradientTransformation:
    """Add lamb h to the gradient, h <- alpha h + (1 - alpha) g, as an optax transform to chain before an optimizer.

    h starts at the first gradient, as in the released code, so that the first step sees (1 + lamb) g. Numbers may be
    traced.
    """

    def init(params: Any) -> MeanState:
        return MeanState(jnp.zeros((), jnp.int32), jax.tree.map(jnp.zeros_like, params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        def moved(g: jax.Array, h: jax.Array) -> jax.Array:
            return jnp.where(state.count == 0, g, rounded(alpha, g) * h + rounded(1 - wide(alpha), g) * g)

        mean = jax.tree.map(moved, updates, state.mean)
        found = jax.tree.map(lambda g, h: g + rounded(lamb, g) * h, updates, mean)
        return found, MeanState(state.count + jnp.ones((), jnp.int32), mean)

    return optax.GradientTransformation(init, update)


def grokfast_ma(window: int = 100, lamb: Any = 5.0) -> optax.GradientTransformation:
    """Add lamb h to the gradient, h the mean of the last ``window`` ones, once there are so many.

    An optax transform to chain before an optimizer; ``lamb`` may be traced. The sum is taken anew in every step: one
    that is only updated would keep the rounding of gradients long gone, and gradients shrink by many orders.
    """

    def init(params: Any) -> WindowState:
        empty = jax.tree.map(lambda w: jnp.zeros((window, *w.shape), w.dtype), params)
        return WindowState(jnp.zeros((), jnp.int32), empty)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        count = state.count + jnp.ones((), jnp.int32)
        place = state.count % window
        last = jax.tree.map(lambda g, old: jax.lax.dynamic_update_index_in_dim(old, g, place, 0), updates, state.last)
        weight = jnp.where(count >= window, wide(lamb), 0) / window
        found = jax.tree.map(lambda g, all_: g + rounded(weight, g) * jnp.sum(all_, axis=0), updates, last)
        return found, WindowState(count, last)

    return optax.GradientTransformation(init, update)
