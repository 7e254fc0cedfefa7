"""IVON: a Gaussian over weights, learned at the cost of Adam."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from grokdyn.optim.adam import BETA, correction, rounded, wide
from grokdyn.optim.base import Optimizer
from grokdyn.optim.gradient import Gradient
from grokdyn.spec.base import field
from grokdyn.spec.rules import Number


class IVON(Optimizer):
    """IVON (Shen et al. 2024): the parameters are the mean m of a Gaussian of variance s^2 = 1 / (N (h + d)).

    The gradient g is taken at m + s xi, xi standard normal; then, with c = g xi / s an estimate of the curvature,
    u <- b1 u + (1 - b1) g, h <- b2 h + (1 - b2) c + (1 - b2)^2 (h - c)^2 / (2 (h + d)), and m moves along
    (u / (1 - b1^t) + d m) / (h + d). N is ``samples``, d ``weight_decay``. One gradient an update; what is measured is
    the network at m, and the loss that training watches costs a pass of its own.
    """

    b1: float = field(BETA, default=0.9, doc="decay of the mean gradient")
    b2: float = field(BETA, default=0.9995, doc="decay of the curvature")
    samples: float = field(Number(0, open_low=True), default=1e3, doc="N: about the number of train rows")
    curvature: float = field(Number(0), default=0.1, doc="h at the start")
    weight_decay: float = field(Number(0, open_low=True), default=1e-3, doc="d: the curvature of the prior")

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if self.decay_to != "zero":
            yield "decay_to", self.decay_to, "zero: the prior is around 0"

    def coupled(self) -> Any:
        return None

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        return iter(())

    def estimate(self, gradient: Gradient, params: Any, memory: Any) -> tuple[Any, Any]:
        place = next(i for i, part in enumerate(memory) if isinstance(part, IVONState))
        own: IVONState = memory[place]
        leaves, tree = jax.tree.flatten(params)
        keys = tree.unflatten(list(jax.random.split(gradient.key, len(leaves))))
        noise = jax.tree.map(lambda w, key: jax.random.normal(key, w.shape, w.dtype), params, keys)
        sample = jax.tree.map(lambda w, h, xi: w + self.spread(h) * xi, params, own.curvature, noise)
        return gradient(sample), (*memory[:place], own._replace(noise=noise), *memory[place + 1 :])

    def spread(self, h: jax.Array) -> jax.Array:
        """Return s."""
        return 1 / jnp.sqrt(rounded(self.samples, h) * (h + rounded(self.weight_decay, h)))

    def direction(self) -> optax.GradientTransformation:
        def init(params: Any) -> IVONState:
            zero, first = jnp.zeros_like, lambda w: jnp.full_like(w, rounded(self.curvature, w))
            count = jnp.zeros((), jnp.int32)
            return IVONState(count, *(jax.tree.map(make, params) for make in (zero, first, zero)))

        def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
            count = state.count + jnp.ones((), jnp.int32)
            mean = jax.tree.map(lambda g, u: mixed(self.b1, u, g), updates, state.mean)
            h = jax.tree.map(self.learned, state.curvature, updates, state.noise)
            scale = 1 / correction(self.b1, count)

            def step(u: jax.Array, h: jax.Array, w: jax.Array) -> jax.Array:
                d = rounded(self.weight_decay, w)
                return (u * rounded(scale, u) + d * w) / (h + d)

            return jax.tree.map(step, mean, h, params), IVONState(count, mean, h, state.noise)

        return optax.GradientTransformation(init, update)

    def learned(self, h: jax.Array, g: jax.Array, noise: jax.Array) -> jax.Array:
        """Return the curvature after a gradient at a sample."""
        seen, new = g * noise / self.spread(h), rounded(1 - wide(self.b2), h)
        return mixed(self.b2, h, seen) + jnp.square(new * (h - seen)) / (2 * (h + rounded(self.weight_decay, h)))


class IVONState(NamedTuple):
    """Number of updates, the mean gradient u, the curvature h, and the noise of the last sample."""

    count: jax.Array
    mean: Any
    curvature: Any
    noise: Any


def mixed(b: Any, old: jax.Array, new: jax.Array) -> jax.Array:
    return rounded(b, old) * old + rounded(1 - wide(b), old) * new
