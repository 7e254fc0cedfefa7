"""Exact expressions for the committee machine of Kumar et al. (2024).

f(x) = (alpha/N) sum_i phi(w_i . x), phi(h) = h + (epsilon/2) h^2, W = (w_1 ... w_N) [D, N]. With the two moments
wbar = mean_i w_i and M = (1/N) sum_i w_i w_i^T it is f = alpha wbar . x + (alpha epsilon/2) x^T M x.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class ErrorTerms(NamedTuple):
    """Parts of the mean squared error over inputs x ~ N(0, I/D); their sum is the error.

    Attributes:
        variance: of the part that is the same for all directions, (tr A / (2D) - c)^2.
        misalignment: |A|_F^2 / (2 D^2).
        linear: |a|^2 / D.
    """

    variance: jax.Array
    misalignment: jax.Array
    linear: jax.Array

    @property
    def total(self) -> jax.Array:
        """The mean squared error."""
        return self.variance + self.misalignment + self.linear


def moments(W: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return wbar [D] and M [D, D] of units W [D, N]."""
    return jnp.mean(W, axis=1), W @ W.T / W.shape[1]


def error_terms(a: jax.Array, A: jax.Array, constant: Any = 0.0) -> ErrorTerms:
    """Return the parts of the mean of (a . x + x^T A x / 2 - c)^2 over x ~ N(0, I/D), exact at every D.

    For the target (beta . x)^2 / 2, a = alpha wbar and A = alpha epsilon M - beta beta^T, it is equation 6 of the
    paper.

    Args:
        a: [D]; A: symmetric [D, D]; constant: c.
    """
    D = a.shape[0]
    variance = jnp.square(jnp.trace(A) / (2 * D) - constant)
    return ErrorTerms(variance, jnp.sum(jnp.square(A)) / (2 * D**2), jnp.sum(jnp.square(a)) / D)


def kernel(W: jax.Array, x: jax.Array, y: jax.Array, epsilon: Any, alpha: Any = 1.0) -> jax.Array:
    """Return the tangent kernel between rows x [n, D] and y [m, D]: [n, m].

    (alpha^2/N) x.y [1 + epsilon wbar.(x + y) + epsilon^2 x^T M y]; the paper's equation 5 leaves out alpha^2/N.
    """
    wbar, M = moments(W)
    along = (x @ wbar)[:, None] + (y @ wbar)[None, :]
    return alpha**2 / W.shape[1] * (x @ y.T) * (1 + epsilon * along + epsilon**2 * (x @ M @ y.T))


def infinite_kernel(x: jax.Array, y: jax.Array, epsilon: Any) -> jax.Array:
    """Return N/alpha^2 times the kernel at step 0 for N to infinity: x.y + epsilon^2 (x.y)^2, [n, m]."""
    gram = x @ y.T
    return gram + epsilon**2 * jnp.square(gram)


def kernel_eigenvalues(dimension: int, epsilon: Any) -> dict[str, Any]:
    """Return the eigenvalues of ``infinite_kernel`` over x ~ N(0, I/D), to leading order in 1/D.

    ``linear`` (D-fold, x_i), ``quadratic`` (x_i x_j and traceless squares) and ``norm`` (|x|^2). The paper's text has
    epsilon in place of epsilon^2 in the second.
    """
    D = dimension
    return {"linear": 1 / D, "quadratic": 2 * epsilon**2 / D**2, "norm": epsilon**2 / D * (1 + 2 / D)}
