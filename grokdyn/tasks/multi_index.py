"""Polynomials of a few directions of a Gaussian input."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp

from grokdyn.spec.base import field
from grokdyn.spec.rules import Choice, Count, Flag, Number
from grokdyn.tasks.regression import GaussianRegression

# Probabilists' Hermite polynomials He_0..He_4, as coefficients of 1, z, z^2, z^3, z^4.
HERMITE = ((1, 0, 0, 0, 0), (0, 1, 0, 0, 0), (-1, 0, 1, 0, 0), (0, -3, 0, 1, 0), (3, 0, -6, 0, 1))


class MultiIndex(GaussianRegression):
    """Learn y = sum_k g(z_k) / sqrt(K) or y = prod_k g(z_k), z_k = beta_k . x, x ~ N(0, I/D), beta_k ~ N(0, I).

    g(z) = sum_j c_j P_j(z), P_j = z^j or the Hermite polynomial He_j, c_j the fields ``constant`` to ``quartic``. The
    default, one index and y = z^2 / 2, is the target of Kumar et al. (2024), whose directions are not normalised.
    """

    indices: int = field(Count(1, 10_000), default=1, doc="K, number of directions")
    combine: str = field(Choice(("sum", "product")), default="sum", doc="over the directions")
    basis: str = field(Choice(("monomial", "hermite")), default="monomial", doc="the polynomials P_j")
    constant: float = field(Number(), default=0.0, doc="c_0")
    linear: float = field(Number(), default=0.0, doc="c_1")
    quadratic: float = field(Number(), default=0.5, doc="c_2")
    cubic: float = field(Number(), default=0.0, doc="c_3")
    quartic: float = field(Number(), default=0.0, doc="c_4")
    normalised: bool = field(Flag(), default=False, doc="scale every direction to |beta_k|^2 = D, so that z ~ N(0, 1)")

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        if self.indices == 1:
            yield "combine", "there is one direction"

    def directions(self, key: jax.Array) -> jax.Array:
        """Draw the directions beta [D, K]."""
        beta = jax.random.normal(key, (self.dimension, self.indices), jnp.float64)
        if not self.normalised:
            return beta
        return beta * jnp.sqrt(jnp.float64(self.dimension)) / jnp.linalg.norm(beta, axis=0)

    def rule(self, key: jax.Array) -> jax.Array:
        return self.directions(jax.random.split(key)[1])

    def targets(self, rule: jax.Array, key: jax.Array, x: jax.Array) -> jax.Array:
        g = polynomial(x @ rule, self.coefficients())
        if self.combine == "product":
            return jnp.prod(g, axis=1)
        return jnp.sum(g, axis=1) / jnp.sqrt(jnp.float64(self.indices))

    def coefficients(self) -> jax.Array:
        """Return those of 1, z, ..., z^4 in g, float64 [5]."""
        c = (self.constant, self.linear, self.quadratic, self.cubic, self.quartic)
        c = jnp.stack([jnp.asarray(value, jnp.float64) for value in c])
        return c if self.basis == "monomial" else c @ jnp.asarray(HERMITE, jnp.float64)


def polynomial(z: jax.Array, coefficients: jax.Array) -> jax.Array:
    """Return sum_j c_j z^j elementwise, by Horner's rule."""
    value = jnp.zeros_like(z)
    for c in coefficients[::-1]:
        value = value * z + c
    return value
