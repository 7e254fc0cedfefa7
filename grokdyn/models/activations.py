"""Elementwise activations by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "relu": jax.nn.relu,
    "square": jnp.square,
    "tanh": jnp.tanh,
    "exp": jnp.exp,
    "gelu": partial(jax.nn.gelu, approximate=False),
    "gelu_tanh": partial(jax.nn.gelu, approximate=True),
    "erf": jax.lax.erf,
    "identity": lambda x: x,
}
