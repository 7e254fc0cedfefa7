"""Dropout by a traced share."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

LEVELS = 2**16


class Dropout:
    """Zero each entry with a probability, and scale the others so that the mean stays; without a key, the identity.

    The probability is ``share`` to the nearest 1/65536.
    """

    def __init__(self, share: Any, key: jax.Array | None):
        self.share, self.key = share, key

    def __call__(self, x: jax.Array, place: int) -> jax.Array:
        """Drop entries of ``x``; ``place`` numbers the uses of one key."""
        if self.key is None:
            return x
        level = jnp.minimum(jnp.round(jnp.asarray(self.share, jnp.float32) * LEVELS), LEVELS - 1)
        kept = draw(jax.random.fold_in(self.key, place), x.shape) >= level.astype(jnp.uint16)
        scale = (LEVELS / (LEVELS - level)).astype(x.dtype)
        return jnp.where(kept, x * scale, jnp.zeros((), x.dtype))


def draw(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Return independent uniform uint16.

    On a CPU drawing is a fair part of a step, so all 64 bits of each threefry count, for four entries; of those that
    ``jax.random.bits`` makes it throws half away. ``fold_in`` of a number is the threefry of that number under the key.
    """
    size = math.prod(shape)
    count = jnp.arange(-(-size // 4), dtype=jnp.uint32)
    words = jax.random.key_data(jax.vmap(lambda number: jax.random.fold_in(key, number))(count))
    return lax.bitcast_convert_type(words, jnp.uint16).reshape(-1)[:size].reshape(shape)
