"""Random arrays drawn as vectors.

The numbers are those of ``jax.random``, entry by entry in row-major order. XLA often takes twice as long to
compile a loop over several small axes as one over their product, and a network has a draw for every tensor.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp


def uniform(key: jax.Array, shape: tuple[int, ...], dtype: Any, bound: float) -> jax.Array:
    """Draw from U(-bound, bound)."""
    return jax.random.uniform(key, (math.prod(shape),), dtype, -bound, bound).reshape(shape)


def normal(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """Draw from N(0, 1)."""
    return jax.random.normal(key, (math.prod(shape),), dtype).reshape(shape)


def truncated_normal(key: jax.Array, shape: tuple[int, ...], dtype: Any, bound: float) -> jax.Array:
    """Draw from N(0, 1) between -bound and bound."""
    return jax.random.truncated_normal(key, -bound, bound, (math.prod(shape),), dtype).reshape(shape)


def words(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Draw uint32 words."""
    return jax.random.bits(key, (math.prod(shape),), jnp.uint32).reshape(shape)
