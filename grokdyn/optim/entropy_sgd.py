"""Entropy-SGD: the gradient of the local entropy, by Langevin steps around the weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from grokdyn.optim.base import Wrapper
from grokdyn.optim.gradient import Gradient
from grokdyn.spec.base import field
from grokdyn.spec.rules import Count, Number


class EntropySGD(Wrapper):
    """Entropy-SGD (Chaudhari et al. 2017), as its released code: the inner optimizer on w - mu.

    mu is an exponential mean of ``steps`` Langevin steps that begin at w: v <- v - r (g(v) + gamma (v - w) +
    eps xi / sqrt(r / 2)), mu <- decay mu + (1 - decay) v, with r = ``inner_rate``, xi standard normal, and
    gamma = gamma_0 (1 + gamma_1)^t after t updates. w - mu is not multiplied by gamma. All gradients are those of the
    same rows. Every update costs ``steps`` gradients; the loss that is recorded is that at w.
    """

    steps: int = field(Count(1, 10_000), default=20, doc="Langevin steps")
    inner_rate: float = field(Number(0, open_low=True), default=0.1, doc="rate of the Langevin steps")
    gamma_0: float = field(Number(0), default=0.03, doc="pull to the weights at step 0")
    gamma_1: float = field(Number(0), default=1e-3, doc="its growth a step")
    eps: float = field(Number(0), default=1e-4, doc="size of the noise")
    decay: float = field(Number(0, 1, open_high=True), default=0.75, doc="decay of the mean")

    @property
    def gradients(self) -> int:
        return self.steps * self.inner.gradients

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        if self.gamma_0 == 0:
            yield "gamma_1", "gamma_0 is 0"
        if self.steps == 1:
            yield from ((name, "a single step begins at the weights") for name in ("gamma_0", "gamma_1"))

    def seen(self, gradient: Gradient) -> Gradient:
        gamma = self.gamma_0 * jnp.power(1 + self.gamma_1, gradient.step)
        return gradient.seen_through(lambda at, params: self.pull(at, params, gamma, gradient))

    def pull(self, at: Callable[[Any], Any], params: Any, gamma: Any, gradient: Gradient) -> Any:
        """Return w - mu."""

        def step(i: jax.Array, carry: tuple[Any, Any], slope: Any) -> tuple[Any, Any]:
            place, mean = carry
            place = self.stepped(place, params, slope, gamma, jax.random.fold_in(gradient.key, i))
            return place, jax.tree.map(self.averaged, mean, place)

        # The gradient at the weights is known already.
        first = step(jnp.int32(0), (params, params), at(params))
        _, mean = lax.fori_loop(1, self.steps, lambda i, carry: step(i, carry, at(carry[0])), first)
        return jax.tree.map(jnp.subtract, params, mean)

    def stepped(self, place: Any, params: Any, slope: Any, gamma: Any, key: jax.Array) -> Any:
        """Return the place after one Langevin step."""
        spread = self.eps / jnp.sqrt(self.inner_rate / 2)
        leaves, tree = jax.tree.flatten(place)
        keys = tree.unflatten(list(jax.random.split(key, len(leaves))))

        def moved(v: jax.Array, w: jax.Array, g: jax.Array, key: jax.Array) -> jax.Array:
            rate, pull, size = (jnp.asarray(x, v.dtype) for x in (self.inner_rate, gamma, spread))
            return v - rate * (g + pull * (v - w) + size * jax.random.normal(key, v.shape, v.dtype))

        return jax.tree.map(moved, place, params, slope, keys)

    def averaged(self, mean: jax.Array, new: jax.Array) -> jax.Array:
        return jnp.asarray(self.decay, new.dtype) * mean + jnp.asarray(1 - self.decay, new.dtype) * new
