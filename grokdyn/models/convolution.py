"""Convolution and pooling of images [rows, height, width, channels], as PyTorch's but for the order of axes.

A convolution is one product of matrices, with the patches of all places: runs side by side, each with kernels of its
own, stay products, and on a CPU its gradient costs a fraction of that of XLA's convolution.
"""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp


def convolved(x: jax.Array, W: jax.Array, stride: int, padding: int) -> jax.Array:
    """Return the cross-correlation of x with kernels [height, width, channels, outputs], zeros around x.

    out[r, i, j, o] = sum over a, b, c of x[r, stride i + a - padding, stride j + b - padding, c] W[a, b, c, o].
    """
    found = windows(padded(x, padding), (W.shape[0], W.shape[1]), stride)
    patches = jnp.concatenate(found, axis=-1)
    return (patches.reshape(-1, patches.shape[-1]) @ W.reshape(-1, W.shape[-1])).reshape(*patches.shape[:3], -1)


def padded(x: jax.Array, padding: int) -> jax.Array:
    sides = (padding, padding)
    return jnp.pad(x, ((0, 0), sides, sides, (0, 0))) if padding else x


def windows(x: jax.Array, size: tuple[int, int], stride: int) -> list[jax.Array]:
    """Return the entries of all windows, one array [rows, height', width', channels] for every place in a window."""
    height, width = (places(x.shape[axis], size[axis - 1], stride, 0) for axis in (1, 2))
    return [
        x[:, a : a + stride * (height - 1) + 1 : stride, b : b + stride * (width - 1) + 1 : stride]
        for a, b in itertools.product(range(size[0]), range(size[1]))
    ]


def places(length: int, size: int, stride: int, padding: int) -> int:
    """Return how many windows fit along an axis; none or less where the window is longer than what it slides over."""
    return (length + 2 * padding - size) // stride + 1


def pooled(x: jax.Array, kind: str, size: int) -> jax.Array:
    """Return the maximum or mean of windows of a size side by side; what is left over at the end is dropped.

    The gradient of a maximum goes to the first of equal entries.
    """
    found = windows(x, (size, size), size)
    if kind == "mean":
        return sum(found[1:], found[0]) / jnp.asarray(len(found), x.dtype)
    largest = found[0]
    for other in found[1:]:
        largest = jnp.where(other > largest, other, largest)
    return largest
