"""Layer normalisation."""

from __future__ import annotations

import jax
import jax.numpy as jnp

# Added to the variance, as in ``nn.LayerNorm``.
NORM_EPS = 1e-5


def layer_norm(x: jax.Array, scale: jax.Array, shift: jax.Array) -> jax.Array:
    """Return (x - mean) / sqrt(variance + 1e-5) * scale + shift over the last axis, the variance biased."""
    centred = x - jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
    return centred * jax.lax.rsqrt(variance + jnp.asarray(NORM_EPS, x.dtype)) * scale + shift
