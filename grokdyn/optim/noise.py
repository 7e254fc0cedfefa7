"""Noise of a given law on the gradient."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.optim.base import Wrapper
from grokdyn.optim.gradient import Gradient
from grokdyn.spec.base import field
from grokdyn.spec.rules import Number


class GradientNoise(Wrapper):
    """Noise on the gradient: the inner optimizer on g + scale xi, xi independent over entries and updates.

    xi has the symmetric stable law with characteristic function exp(-|u|^tail): at ``tail`` = 2 it is isotropic
    Gaussian noise of variance 2 scale^2; below 2 its variance is infinite, as that of gradients is said to be
    (Simsekli et al. 2019); at 1 it is Cauchy's. Several gradients of one update, as SAM's, have the same noise.
    """

    scale: float = field(Number(0), default=0.01, doc="scale of the noise of an entry")
    tail: float = field(Number(0.2, 2), default=2.0, doc="index of stability; 2: Gaussian")

    def seen(self, gradient: Gradient) -> Gradient:
        return gradient.seen_through(lambda at, params: self.noisy(at(params), gradient.key))

    def noisy(self, g: Any, key: jax.Array) -> Any:
        """Return a gradient with noise."""
        leaves, tree = jax.tree.flatten(g)
        keys = jax.random.split(key, len(leaves))
        noise = [stable(key, x.shape, self.tail) for key, x in zip(keys, leaves, strict=True)]
        return tree.unflatten([x + (self.scale * xi).astype(x.dtype) for x, xi in zip(leaves, noise, strict=True)])


def stable(key: jax.Array, shape: tuple[int, ...], tail: Any) -> jax.Array:
    """Return numbers of the symmetric stable law, float64 (Chambers, Mallows & Stuck 1976).

    sin(a V) / cos(V)^(1/a) * (cos((1 - a) V) / W)^((1 - a) / a), V uniform on (-pi/2, pi/2), W exponential, a = tail.
    """
    first, second = jax.random.split(key)
    v = jnp.pi * (jax.random.uniform(first, shape, jnp.float64) - 0.5)
    w = jnp.maximum(jax.random.exponential(second, shape, jnp.float64), jnp.finfo(jnp.float64).tiny)
    heavy = jnp.power(jnp.cos((1 - tail) * v) / w, (1 - tail) / tail)
    return jnp.sin(tail * v) / jnp.power(jnp.cos(v), 1 / tail) * heavy
