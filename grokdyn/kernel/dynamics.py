"""What gradient descent does to a network whose kernel does not change."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

# Eigenvalues below this part of the largest are rounding of 0.
NULL = 1e-12


class Modes(NamedTuple):
    """Eigenvalues l and eigenvectors U of a kernel between train points."""

    values: jax.Array
    vectors: jax.Array


def modes(K: jax.Array) -> Modes:
    """Return the eigendecomposition of a kernel between train points."""
    return Modes(*jnp.linalg.eigh(K))


def moved(found: Modes, cross: jax.Array, residual: jax.Array, decay: Callable[[jax.Array], jax.Array]) -> jax.Array:
    """Return f_t - f_0 = -K_* U (1 - d(l))/l U^T r_0 at some points (Jacot et al. 2018).

    Args:
        cross: K_* [points, train points], the kernel between those points and the train points.
        residual: r_0 = f_0 - y at the train points.
        decay: d, what is left of a mode by its eigenvalue: exp(-l t) for a flow, (1 - rate l)^t for descent, 0 for
            t to infinity. Modes of eigenvalue 0 stay.
    """
    l, U = found
    alive = l > NULL * l[-1]
    weight = jnp.where(alive, (1 - decay(l)) / jnp.where(alive, l, 1), 0)
    return -cross @ (U @ (weight * (U.T @ residual)))


def regression(found: Modes, cross: jax.Array, y: jax.Array) -> jax.Array:
    """Return the predictions K_* K^+ y of kernel regression without ridge."""
    return moved(found, cross, -y, jnp.zeros_like)
