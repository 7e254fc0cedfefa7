"""Products of the gradients that single rows give, and what follows from them.

G [m, m] holds g_i . g_j, g_i the gradient of the loss of row i. q = tr(G)/m is the mean of |g_i|^2 and s = sum(G)/m^2
the square of the mean gradient.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from grokdyn.kernel.measures import wide
from grokdyn.kernel.methods import layer_products, row_logits
from grokdyn.models.function import Function
from grokdyn.models.output import Params


def gradient_gram(f: Function, params: Params, x: jax.Array, slopes: jax.Array) -> jax.Array:
    """Return G [m, m] from the layers of a model that has them, else from the gradients themselves.

    Args:
        x: rows [m, width].
        slopes: the gradient of every row's loss in its logits [m, outputs].
    """
    layers = f.linear_layers(params, x, slopes[:, None, :])
    if layers is not None:
        return layer_products(layers, layers, "trace")
    gradients = jnp.concatenate([g.reshape(len(x), -1) for g in jax.tree.leaves(of_rows(f, params, x, slopes))], axis=1)
    return gradients @ gradients.T


def of_rows(f: Function, params: Params, x: jax.Array, slopes: jax.Array) -> Params:
    """Return the gradients of single rows [m, ...], tensor by tensor; arguments as those of ``gradient_gram``."""

    def gradient(row: jax.Array, slope: jax.Array) -> Params:
        return jax.grad(lambda params: slope @ row_logits(f, params, row))(params)

    return jax.vmap(gradient)(x, slopes)


def tensor_coherence(gradients: Params) -> jax.Array:
    """Return the m-coherence of the gradients of single rows [m, ...] in every tensor [tensors], float64.

    m |mean g|^2 / mean |g|^2 in the space of one tensor, from sums alone; nan where all gradients are 0.
    """

    def of(g: jax.Array) -> jax.Array:
        g = wide(g)
        return jnp.sum(jnp.square(jnp.sum(g, axis=0))) / jnp.sum(jnp.square(g))

    return jnp.stack([of(g) for g in jax.tree.leaves(gradients)])


def coherence(G: jax.Array) -> jax.Array:
    """Return m s / q: how many rows each row's gradient helps, itself included (Chatterjee & Zielinski 2022)."""
    G = wide(G)
    return jnp.sum(G) / jnp.trace(G)


def noise_scale(G: jax.Array) -> jax.Array:
    """Return m (q - s) / (m s - q), the trace of the gradients' covariance over the squared gradient, both unbiased.

    The simple noise scale of McCandlish et al. (2018), in rows. It is negative where the gradient is lost in the noise.
    """
    G, m = wide(G), G.shape[0]
    q, s = jnp.trace(G) / m, jnp.sum(G) / m**2
    return m * (q - s) / (m * s - q)


def unbiased(G: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return m (q - s) / (m - 1) and (m s - q) / (m - 1), unbiased Tr C and |E g|^2 of independent rows, float64."""
    G, m = wide(G), G.shape[0]
    q, s = jnp.trace(G) / m, jnp.sum(G) / m**2
    return m * (q - s) / (m - 1), (m * s - q) / (m - 1)


def cosines(G: jax.Array) -> jax.Array:
    """Return the cosines of all pairs of gradients; a zero gradient has 0 with all."""
    G = wide(G)
    size = jnp.sqrt(jnp.diag(G))
    length = size[:, None] * size[None, :]
    return jnp.where(length > 0, G / jnp.where(length > 0, length, 1), 0)


def block_cosines(G: jax.Array, codes: jax.Array) -> jax.Array:
    """Return the mean cosine of pairs of different rows by their classes [classes, classes]; nan where there is none.

    Args:
        codes: the classes of the rows as one-hot codes [m, classes].
    """
    codes, off = wide(codes), 1 - jnp.eye(G.shape[0], dtype=jnp.float64)
    return (codes.T @ (cosines(G) * off) @ codes) / (codes.T @ off @ codes)
