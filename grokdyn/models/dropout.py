"""Dropout by a traced share."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from grokdyn.models import draws

# A threefry word decides over two entries, which halves the cost of drawing on a CPU.
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
        kept = draw(jax.random.fold_in(self.key, place), x.shape) >= level.astype(jnp.uint32)
        scale = (LEVELS / (LEVELS - level)).astype(x.dtype)
        return jnp.where(kept, x * scale, jnp.zeros((), x.dtype))


def draw(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Return independent uniform integers below 65536, as uint32."""
    last = shape[-1]
    words = draws.words(key, (*shape[:-1], -(-last // 2)))
    halves = jnp.concatenate([words >> 16, words & jnp.uint32(LEVELS - 1)], axis=-1)
    return lax.slice_in_dim(halves, 0, last, axis=-1)
