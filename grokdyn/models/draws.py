"""Random tensors of a network, drawn together.

XLA on a CPU compiles the loops of a random draw for longer than most networks draw, and a network has a draw for every
tensor. So a model says what its tensors are drawn from (``Draw``), and ``together`` draws all of them by one threefry
and each distribution by one loop over a vector. The numbers are those of ``jax.random``, entry by entry in row-major
order.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Function = Callable[[jax.Array], jax.Array]


@dataclass(frozen=True)
class Draw:
    """A tensor that is still to be drawn.

    Attributes:
        standard: from numbers of U[0, 1) to those of a standard distribution; draws that share it share a loop.
        finished: from those to the tensor's entries.
    """

    key: jax.Array
    shape: tuple[int, ...]
    dtype: Any
    standard: Function
    finished: Function = lambda x: x

    def then(self, function: Function) -> Draw:
        """Return the draw with a function applied to its entries."""
        return replace(self, finished=lambda x: function(self.finished(x)))


def uniform(key: jax.Array, shape: tuple[int, ...], dtype: Any, bound: float) -> Draw:
    """Return a draw from U[-bound, bound)."""
    return Draw(key, shape, dtype, unchanged, partial(between, low=-bound, high=bound))


def normal(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> Draw:
    """Return a draw from N(0, 1)."""
    return Draw(key, shape, dtype, gaussian)


def truncated_normal(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> Draw:
    """Return a draw from N(0, 1) between -2 and 2."""
    return Draw(key, shape, dtype, gaussian_within_two)


def layer_keys(key: jax.Array, layers: int) -> jax.Array:
    """Return keys [layers, 2] for the weights and the biases of every layer.

    They are those of ``split(fold_in(key, layer))``, by two threefries for all layers instead of two for each.
    """
    return jax.vmap(jax.random.split)(jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(layers)))


def together(tree: Any) -> Any:
    """Return a tree of arrays and draws, of one dtype, with the draws made."""
    leaves, structure = jax.tree.flatten(tree)
    groups: dict[Function, list[int]] = {}
    for place, leaf in enumerate(leaves):
        if isinstance(leaf, Draw):
            groups.setdefault(leaf.standard, []).append(place)
    if not groups:
        return tree
    draws = [leaves[place] for places in groups.values() for place in places]
    u = standard_uniform([d.key for d in draws], [math.prod(d.shape) for d in draws], draws[0].dtype)
    for standard, places in groups.items():
        sizes = [math.prod(leaves[place].shape) for place in places]
        x, u = standard(u[: sum(sizes)]), u[sum(sizes) :]
        for place, size in zip(places, sizes, strict=True):
            own, x = x[:size], x[size:]
            leaves[place] = leaves[place].finished(own).reshape(leaves[place].shape)
    return jax.tree.unflatten(structure, leaves)


def standard_uniform(keys: list[jax.Array], sizes: list[int], dtype: Any) -> jax.Array:
    """Draw a vector from U[0, 1): for each key as many numbers as its size says.

    ``fold_in`` of a number is the threefry of that number under the key, which makes it the generator's words.
    """
    dtype = jax.dtypes.canonicalize_dtype(dtype)
    data, impl = [jax.random.key_data(key) for key in keys], jax.random.key_impl(keys[0])
    of_entry = jnp.concatenate([jnp.broadcast_to(d, (n, *d.shape)) for d, n in zip(data, sizes, strict=True)])
    count = jnp.concatenate([jnp.arange(n, dtype=jnp.uint32) for n in sizes])
    pairs = jax.random.key_data(jax.vmap(jax.random.fold_in)(jax.random.wrap_key_data(of_entry, impl=impl), count))
    high, low = pairs[:, 0], pairs[:, 1]
    kind = np.dtype(f"uint{8 * dtype.itemsize}")
    drawn = (high.astype(kind) << 32) | low.astype(kind) if dtype.itemsize == 8 else high ^ low
    # Random bits for the fraction of a number from 1 to 2.
    fraction = drawn >> (8 * dtype.itemsize - jnp.finfo(dtype).nmant)
    return jax.lax.bitcast_convert_type(fraction | np.ones((), dtype).view(kind), dtype) - jnp.ones((), dtype)


def unchanged(u: jax.Array) -> jax.Array:
    return u


def gaussian(u: jax.Array) -> jax.Array:
    """Return sqrt(2) erf^-1 of U(-1, 1)."""
    below = np.nextafter(np.asarray(-1, u.dtype), np.asarray(0, u.dtype))
    return jnp.asarray(math.sqrt(2), u.dtype) * jax.lax.erf_inv(between(u, below, 1))


def gaussian_within_two(u: jax.Array) -> jax.Array:
    """Return sqrt(2) erf^-1 of U(erf(-sqrt 2), erf(sqrt 2))."""
    two, root = jnp.asarray(2, u.dtype), jnp.asarray(math.sqrt(2), u.dtype)
    edge = jax.lax.erf(two / root)
    below_two = np.nextafter(np.asarray(2, u.dtype), np.asarray(0, u.dtype))
    return jnp.clip(root * jax.lax.erf_inv(between(u, -edge, edge)), -below_two, below_two)


def between(u: jax.Array, low: Any, high: Any) -> jax.Array:
    """Return numbers of U[low, high) from those of U[0, 1)."""
    low, high = jnp.asarray(low, u.dtype), jnp.asarray(high, u.dtype)
    return jnp.maximum(low, u * (high - low) + low)
