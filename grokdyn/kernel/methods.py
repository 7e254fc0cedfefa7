"""Three ways to the same tangent kernel.

All take a function, parameters, two sets of rows x [n, ...] and y [m, ...], and a ``Readout``; all return [n, m] or
[n, m, outputs, outputs]. None of them sees dropout.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.kernel.readout import Readout
from grokdyn.models.function import Function
from grokdyn.models.layers import Layer
from grokdyn.models.output import Params


def row_logits(f: Function, params: Params, row: jax.Array) -> jax.Array:
    """Return the logits of one row [outputs]."""
    return f.network(params, row[None]).logits[0]


def by_jacobian(f: Function, params: Params, x: jax.Array, y: jax.Array, readout: Readout, c: jax.Array) -> jax.Array:
    """Contract Jacobians: sum over parameters of the gradients of every row and combination [n, r, parameters]."""

    def gradients(c: jax.Array, rows: jax.Array) -> Params:
        def combined(params: Params, row: jax.Array) -> jax.Array:
            return c @ row_logits(f, params, row)

        return jax.vmap(jax.jacrev(combined), (None, 0))(params, rows)

    def pairs(c: jax.Array, letters: str) -> jax.Array:
        own = gradients(c, x)
        other = own if y is x else gradients(c, y)
        return sum(
            jnp.einsum(letters, flat(a, c.ndim), flat(b, c.ndim))
            for a, b in zip(jax.tree.leaves(own), jax.tree.leaves(other), strict=True)
        )  # pyright: ignore[reportReturnType]

    if readout.kind == "full":
        return pairs(c, "nap,mbp->nmab")
    # One combination at a time: only one gradient per row is alive.
    return mean_over(lambda one: pairs(one, "np,mp->nm"), c, (len(x), len(y)))


def flat(leaf: jax.Array, lead: int) -> jax.Array:
    """Return a tensor's gradients with its own axes joined: [rows, parameters], or with combinations between."""
    return leaf.reshape(*leaf.shape[:lead], -1)


def by_products(f: Function, params: Params, x: jax.Array, y: jax.Array, readout: Readout, c: jax.Array) -> jax.Array:
    """Multiply the kernel by unit vectors: Theta v = J (J^T v), a backward and a forward pass a column, no Jacobian."""

    def logits(params: Params) -> jax.Array:
        return f.network(params, x).logits

    def column(row: jax.Array, one: jax.Array) -> jax.Array:
        """Return the kernel of all logits of x with one combination of one row's [n, outputs]."""
        tangent = jax.grad(lambda params: one @ row_logits(f, params, row))(params)
        return jax.jvp(logits, (params,), (tangent,))[1]

    if readout.kind == "full":
        columns = jax.lax.map(lambda row: jax.vmap(lambda one: column(row, one))(c), y)
        return jnp.transpose(columns, (2, 0, 3, 1))
    return mean_over(lambda one: jax.lax.map(lambda row: column(row, one) @ one, y).T, c, (len(x), len(y)))


def by_layers(f: Function, params: Params, x: jax.Array, y: jax.Array, readout: Readout, c: jax.Array) -> jax.Array:
    """Sum Gram matrices of layers: sum_l (factor^2 h_i . h_j + 1_bias) (d_ia . d_jb), see ``models.layers``."""
    own = f.linear_layers(params, x, c[None])
    other = own if y is x else f.linear_layers(params, y, c[None])
    assert own is not None
    assert other is not None
    return layer_products(own, other, readout.kind)


def layer_products(own: list[Layer], other: list[Layer], kind: str) -> jax.Array:
    """Return products of gradients of two sets of rows: all pairs of combinations (full), or their mean."""
    total = None
    for a, b in zip(own, other, strict=True):
        h = a.factor**2 * input_products(a.inputs, b.inputs, a.deltas.dtype) + (1 if a.bias else 0)
        if kind == "full":
            term = h[:, :, None, None] * jnp.einsum("naw,mbw->nmab", a.deltas, b.deltas)
        else:
            joined = (jnp.reshape(d, (d.shape[0], -1)) for d in (a.deltas, b.deltas))
            term = h * (jnp.einsum("np,mp->nm", *joined) / a.deltas.shape[1])
        total = term if total is None else total + term
    assert total is not None
    return total


def input_products(x: jax.Array, y: jax.Array, dtype: Any) -> jax.Array:
    """Return h_i . h_j [n, m], of images as vectors; for tokens the number of positions at which two rows agree."""
    if jnp.issubdtype(x.dtype, jnp.integer):
        return jnp.sum(x[:, None, :] == y[None, :, :], axis=-1).astype(dtype)
    x, y = (rows if rows.ndim == 2 else rows.reshape(len(rows), -1) for rows in (x, y))
    return x.astype(dtype) @ y.astype(dtype).T


def mean_over(kernel: Callable[[jax.Array], jax.Array], c: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """Return the mean of a kernel [n, m] over combinations [r, outputs], one after the other.

    Its shape is told: to ask for it would trace the network and its gradients once more.
    """
    if c.shape[0] == 1:
        return kernel(c[0])
    total, _ = jax.lax.scan(lambda total, one: (total + kernel(one), None), jnp.zeros(shape, c.dtype), c)
    return total / c.shape[0]
