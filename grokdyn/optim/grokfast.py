"""Grokfast: the slow part of the gradients amplified."""

from __future__ import annotations

from collections.abc import Iterator
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

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        if self.lamb == 0:
            yield "alpha", "lamb is 0"

    def before(self) -> list[optax.GradientTransformation]:
        return [grokfast_ema(self.alpha, self.lamb)]


class GrokfastMA(Wrapper):
    """Grokfast with a window mean (Lee et al. 2024): the inner optimizer on g + lamb h, see ``grokfast_ma``.

    The window is kept, so the state is ``window`` times the parameters; where lanes are vmapped, it is read and written
    in every step.
    """

    window: int = field(Count(1, 100_000), default=100, doc="gradients in the mean")
    lamb: float = field(Number(), default=5.0, doc="lambda, weight of the mean")

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        if self.lamb == 0:
            yield "window", "lamb is 0"
        if self.window > steps + 1:
            yield from ((name, f"no window is full by step {steps}") for name in ("lamb", "window"))

    def before(self) -> list[optax.GradientTransformation]:
        return [grokfast_ma(self.window, self.lamb)]


class MeanState(NamedTuple):
    """Number of updates so far, int32, and the exponential mean of the gradients."""

    count: jax.Array
    mean: Any


class WindowState(NamedTuple):
    """The last gradients, such that the sum over the window is a sum of two.

    Attributes:
        count: int32, number of updates so far; its remainder by the window is the place in a block of updates.
        head: sum of the gradients of this block.
        block: [window, ...], at places of this block its gradients; at those to come, for the block before, the sum
            of its gradients from that place on.
    """

    count: jax.Array
    head: Any
    block: Any


def grokfast_ema(alpha: Any = 0.98, lamb: Any = 2.0) -> optax.GradientTransformation:
    """Add lamb h to the gradient, h <- alpha h + (1 - alpha) g, as an optax transform to chain before an optimizer.

    h starts at the first gradient, as in the released code of Lee et al. (2024), so that the first step sees
    (1 + lamb) g. Numbers may be traced. Returns a ``GradientTransformation``; raises nothing of its own.
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

    An optax transform to chain before an optimizer; ``lamb`` may be traced. A sum from which old gradients were
    subtracted would keep their rounding, and gradients shrink by many orders; here only those of the window are ever
    added, each about twice. Returns a ``GradientTransformation``; raises nothing of its own.
    """

    def init(params: Any) -> WindowState:
        block = jax.tree.map(lambda w: jnp.zeros((window, *w.shape), w.dtype), params)
        return WindowState(jnp.zeros((), jnp.int32), jax.tree.map(jnp.zeros_like, params), block)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        place = state.count % window
        first, last = place == 0, place == window - 1
        block = jax.lax.cond(first, from_each_place_on, lambda block: block, state.block)
        rest = jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, place + 1, 0, keepdims=False), block)
        head = jax.tree.map(lambda g, h: jnp.where(first, g, h + g), updates, state.head)
        block = jax.tree.map(lambda g, x: jax.lax.dynamic_update_index_in_dim(x, g, place, 0), updates, block)
        count = state.count + jnp.ones((), jnp.int32)
        weight = jnp.where(count >= window, wide(lamb), 0) / window

        def amplified(g: jax.Array, h: jax.Array, r: jax.Array) -> jax.Array:
            return g + rounded(weight, g) * (h + jnp.where(last, jnp.zeros((), r.dtype), r))

        return jax.tree.map(amplified, updates, head, rest), WindowState(count, head, block)

    return optax.GradientTransformation(init, update)


def from_each_place_on(block: Any) -> Any:
    """Return sums over the leading axis from each place to the end."""
    return jax.tree.map(lambda x: jax.lax.cumsum(x, axis=0, reverse=True), block)
