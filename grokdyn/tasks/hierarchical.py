"""A polynomial of a polynomial."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.spec.base import field
from grokdyn.spec.rules import Choice, Count, Integer, Number, Optional
from grokdyn.tasks.base import Table
from grokdyn.tasks.multi_index import HERMITE, polynomial
from grokdyn.tasks.regression import GaussianRegression


class HierarchicalPolynomial(GaussianRegression):
    """Learn y = g(p(x)), p of degree k in x ~ N(0, I), g of degree up to 4 (Wang, Nichani and Lee 2023).

    p(x) = sum_j (-1)^j He_k(v_j . x) / sqrt(k! L) over L random orthonormal directions v_j, of mean 0 and variance 1
    and nearly Gaussian where L is large; g(p) = sum_j c_j He_j(p) / sqrt(j!), He the Hermite polynomials, c_j the
    fields ``linear`` to ``quartic``. Kernels of x need about d^(k q) rows, q the degree of g; where c_1 is not 0 a
    network that finds p first needs about d^k. On ``inputs = "sphere"``, |x|^2 = d, the p^2 of k = 2 and L = d even
    has no part of degree 2; that of Gaussian inputs is 2 (|x|^2 - d) / d.

    Rows of another ``redraw`` are independent, of the same p and g: a later round can have rows of its own.
    """

    degree: int = field(Count(1, 4), default=2, doc="k, that of p")
    terms: int | None = field(
        Optional(Count(1, 100_000)), default=None, doc="L, directions of p; nothing: as many as dimensions"
    )
    inputs: str = field(Choice(("gaussian", "sphere")), default="gaussian", doc="x ~ N(0, I), or scaled to |x|^2 = d")
    linear: float = field(Number(), default=1.0, doc="c_1")
    quadratic: float = field(Number(), default=0.5, doc="c_2")
    cubic: float = field(Number(), default=0.0, doc="c_3")
    quartic: float = field(Number(), default=0.0, doc="c_4")
    redraw: int = field(Integer(), default=0, doc="which rows are drawn for the p of a seed")

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        yield from super().problems()
        if self.terms is not None and self.terms > self.dimension:
            yield "terms", self.terms, f"at most the dimension, {self.dimension}: directions are orthogonal"

    def scaled(self, x: jax.Array) -> jax.Array:
        if self.inputs == "gaussian":
            return x
        length = jnp.linalg.norm(x, axis=1, keepdims=True)
        return x * (jnp.sqrt(jnp.asarray(self.dimension, x.dtype)) / length)

    def draw(self, key: jax.Array) -> Table:
        x_key, y_key = jax.random.split(jax.random.fold_in(key, self.redraw))
        x = jax.random.normal(x_key, (self.points, self.dimension), jnp.float64)
        return self.labelled(self.rule(key), y_key, self.scaled(x).astype(jnp.float32))

    def rule(self, key: jax.Array) -> jax.Array:
        """Draw the directions v [D, L]."""
        square = jax.random.normal(jax.random.split(key)[1], (self.dimension, self.dimension), jnp.float64)
        return jnp.linalg.qr(square)[0][:, : self.terms]

    def inner(self, rule: jax.Array, x: jax.Array) -> jax.Array:
        """Return p [rows] of inputs x [rows, D], float64."""
        coefficients = jnp.asarray(HERMITE[self.degree], jnp.float64) / math.sqrt(math.factorial(self.degree))
        terms = polynomial(x.astype(jnp.float64) @ rule, coefficients)
        signs = jnp.where(jnp.arange(rule.shape[1]) % 2 == 0, 1.0, -1.0)
        return terms @ signs / jnp.sqrt(jnp.float64(rule.shape[1]))

    def targets(self, rule: jax.Array, key: jax.Array, x: jax.Array) -> jax.Array:
        c = (0.0, self.linear, self.quadratic, self.cubic, self.quartic)
        scaled = [jnp.asarray(value, jnp.float64) / math.sqrt(math.factorial(j)) for j, value in enumerate(c)]
        return polynomial(self.inner(rule, x), jnp.stack(scaled) @ jnp.asarray(HERMITE, jnp.float64))
