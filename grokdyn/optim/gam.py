"""GAM: descent that also lowers the largest gradient nearby."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.optim.base import Wrapper
from grokdyn.optim.gradient import Gradient
from grokdyn.optim.perpgrad import dot, scaled
from grokdyn.spec.base import field
from grokdyn.spec.rules import Number


class GAM(Wrapper):
    """Gradient norm aware minimisation (Zhang et al. 2023), as its released code: the inner optimizer on
    q - gamma (p - proj_q p).

    With g(w) the gradient and h(w) = g(w + r g(w) / |g(w)|) that of a step up, r = ``radius``: g0, h0 at w, g2, h2 at
    w + rho d / |d| with d = h0 - g0, where the gradient's norm grows; p = g0 + beta_2 g2, q = beta_1 h0 + beta_3 h2,
    beta_2 = 1 - ``beta_0``, beta_3 = 1 - ``beta_1``. Norms are over all parameters, summed in float64; a zero vector
    has no direction and is stepped along nowhere. Every update costs four gradients.
    """

    rho: float = field(Number(0), default=0.2, doc="length of the step along which the gradient's norm grows")
    radius: float = field(Number(0), default=0.02, doc="length of a step up")
    beta_0: float = field(Number(0, 1), default=0.5, doc="1 - weight of the gradient far away in p")
    beta_1: float = field(Number(0, 1), default=0.5, doc="weight in q of the gradient a step up from w")
    gamma: float = field(Number(0), default=0.03, doc="weight of what of p is orthogonal to q")

    @property
    def gradients(self) -> int:
        return 4 * self.inner.gradients

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        if self.gamma == 0:
            yield "beta_0", "gamma is 0"

    def seen(self, gradient: Gradient) -> Gradient:
        return gradient.seen_through(self.flatter)

    def flatter(self, at: Callable[[Any], Any], params: Any) -> Any:
        """Return the gradient to step along at some parameters."""
        g0 = at(params)
        h0 = at(stepped(params, g0, self.radius))
        far = stepped(params, jax.tree.map(jnp.subtract, h0, g0), self.rho)
        g2 = at(far)
        h2 = at(stepped(far, g2, self.radius))
        p, q = mixed(1.0, g0, 1 - self.beta_0, g2), mixed(self.beta_1, h0, 1 - self.beta_1, h2)
        return mixed(1.0, q, -self.gamma, without(p, q))


def stepped(params: Any, along: Any, length: Any) -> Any:
    """Return w + length v / |v|; w where v is 0."""
    leaves, tree = jax.tree.flatten(along)
    leaves, _ = scaled(leaves)  # of order 1 by a power of two, which drops out
    norm = jnp.sqrt(dot(leaves, leaves))
    factor = jnp.where(norm > 0, length / jnp.where(norm > 0, norm, 1), 0)
    return jax.tree.map(lambda w, v: w + (factor * v).astype(w.dtype), params, tree.unflatten(leaves))


def mixed(a: Any, x: Any, b: Any, y: Any) -> Any:
    """Return a x + b y."""
    return jax.tree.map(lambda u, v: jnp.asarray(a, u.dtype) * u + jnp.asarray(b, v.dtype) * v, x, y)


def without(p: Any, q: Any) -> Any:
    """Return p without its part along q; p where q is 0."""
    (of_p, tree), of_q = jax.tree.flatten(p), jax.tree.leaves(q)
    of_q, _ = scaled(of_q)
    square = dot(of_q, of_q)
    along = jnp.where(square > 0, dot(of_p, of_q) / jnp.where(square > 0, square, 1), 0)
    return tree.unflatten([x - (along * y).astype(x.dtype) for x, y in zip(of_p, of_q, strict=True)])
