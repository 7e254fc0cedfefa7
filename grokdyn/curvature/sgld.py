"""The local learning coefficient by Langevin dynamics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def learning_coefficient(
    value_and_gradient: Callable[[Any], tuple[jax.Array, Any]],
    params: Any,
    key: jax.Array,
    draws: int,
    chains: int,
    burn_in: int,
    step_size: Any,
    n_beta: Any,
    localisation: Any,
) -> jax.Array:
    """Return an estimate of the local learning coefficient for every chain, float64 [chains] (Lau et al. 2023).

    n_beta (mean over draws of L(w) - L(w*)) with w drawn around w* by stochastic gradient Langevin dynamics,
    w <- w - (step_size/2) [n_beta grad L(w) + localisation (w - w*)] + sqrt(step_size) N(0, 1). A loss counts before
    the step that follows it. A regular minimum in d dimensions has d/2, a singular one less.

    Args:
        value_and_gradient: w -> L, grad L.
        params: w*, a tree of arrays.
        burn_in: steps before the ``draws`` that count.
    """
    start = value_and_gradient(params)[0].astype(jnp.float64)

    def moved(w: Any, gradient: Any, key: jax.Array) -> Any:
        return langevin_step(w, gradient, params, key, step_size, n_beta, localisation)

    def chain(key: jax.Array) -> jax.Array:
        def step(i: jax.Array, state: tuple[Any, jax.Array]) -> tuple[Any, jax.Array]:
            w, total = state
            loss, gradient = value_and_gradient(w)
            total = total + jnp.where(i >= burn_in, loss.astype(jnp.float64), 0)
            return moved(w, gradient, jax.random.fold_in(key, i)), total

        _, total = jax.lax.fori_loop(0, burn_in + draws, step, (params, jnp.zeros((), jnp.float64)))
        return n_beta * (total / draws - start)

    return jax.lax.map(chain, jax.random.split(key, chains))


def langevin_step(
    params: Any, gradient: Any, home: Any, key: jax.Array, step_size: Any, n_beta: Any, localisation: Any
) -> Any:
    """Return w - (step_size/2) [n_beta g + localisation (w - home)] + sqrt(step_size) N(0, 1) for trees of arrays."""
    tree = jax.tree.structure(params)
    keys = jax.tree.unflatten(tree, list(jax.random.split(key, tree.num_leaves)))

    def one(w: jax.Array, g: jax.Array, w0: jax.Array, key: jax.Array) -> jax.Array:
        half, rest, pull = (jnp.asarray(x, w.dtype) for x in (step_size / 2, jnp.sqrt(step_size), localisation))
        drift = jnp.asarray(n_beta, w.dtype) * g + pull * (w - w0)
        return w - half * drift + rest * jax.random.normal(key, w.shape, w.dtype)

    return jax.tree.map(one, params, gradient, home, keys)
