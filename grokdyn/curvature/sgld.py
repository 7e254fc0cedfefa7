"""The local learning coefficient by Langevin dynamics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

Gradient = Callable[[Any], tuple[jax.Array, Any]]


class Langevin(NamedTuple):
    """What chains around w* say, in float64.

    Attributes:
        coefficients: n_beta (mean over draws of L(w) - L(w*)) of every chain [chains].
        rhat: split R-hat of the losses over both halves of every chain (Gelman et al. 2013): 1 where all say the same,
            above where chains differ or still drift; nan for fewer than four draws.
        virial: mean of (w - w*) . grad U over the number of weights, U = n_beta L + localisation |w - w*|^2 / 2: 1 in
            equilibrium whatever L is, below where chains still spread, above where steps are too long.
        held: localisation times the mean of |w - w*|^2, over the number of weights: how much of each weight the pull
            holds, not the loss.
    """

    coefficients: jax.Array
    rhat: jax.Array
    virial: jax.Array
    held: jax.Array


def learning_coefficient(
    value_and_gradient: Gradient,
    params: Any,
    key: jax.Array,
    draws: int,
    chains: int,
    burn_in: int,
    step_size: Any,
    n_beta: Any,
    localisation: Any,
) -> jax.Array:
    """Return an estimate of the local learning coefficient for every chain, float64 [chains], see ``langevin``."""
    settings = (draws, chains, burn_in, step_size, n_beta, localisation)
    return langevin(value_and_gradient, params, key, *settings).coefficients


def langevin(
    value_and_gradient: Gradient,
    params: Any,
    key: jax.Array,
    draws: int,
    chains: int,
    burn_in: int,
    step_size: Any,
    n_beta: Any,
    localisation: Any,
) -> Langevin:
    """Estimate the local learning coefficient (Lau et al. 2023), and how far the estimate can be trusted.

    n_beta (mean over draws of L(w) - L(w*)) with w drawn around w* by stochastic gradient Langevin dynamics,
    w <- w - (step_size/2) [n_beta grad L(w) + localisation (w - w*)] + sqrt(step_size) N(0, 1). A loss counts before
    the step that follows it. A regular minimum of curvatures h in d dimensions has
    sum_i n_beta h_i / (n_beta h_i + localisation) / 2, d/2 without the pull, a singular one less.

    Args:
        value_and_gradient: w -> L, grad L.
        params: w*, a tree of arrays.
        burn_in: steps before the ``draws`` that count.
    """
    start = value_and_gradient(params)[0].astype(jnp.float64)
    size, half = sum(leaf.size for leaf in jax.tree.leaves(params)), draws // 2

    def moved(w: Any, gradient: Any, key: jax.Array) -> Any:
        return langevin_step(w, gradient, params, key, step_size, n_beta, localisation)

    def chain(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        def step(i: jax.Array, state: tuple[Any, jax.Array, jax.Array]) -> tuple[Any, jax.Array, jax.Array]:
            w, total, halves = state
            loss, gradient = value_and_gradient(w)
            away = jax.tree.map(jnp.subtract, w, params)
            excess, drawn = n_beta * (loss.astype(jnp.float64) - start), i - burn_in
            seen = jnp.stack([loss.astype(jnp.float64), inner(away, gradient), inner(away, away)])
            total = total + jnp.where(drawn >= 0, seen, 0)
            # Where draws are odd in number the middle one is in no half.
            own = jnp.stack([(drawn >= 0) & (drawn < half), drawn >= draws - half])
            halves = halves + jnp.where(own[:, None], jnp.stack([excess, excess**2]), 0)
            return moved(w, gradient, jax.random.fold_in(key, i)), total, halves

        zero = (params, jnp.zeros(3, jnp.float64), jnp.zeros((2, 2), jnp.float64))
        _, total, halves = jax.lax.fori_loop(0, burn_in + draws, step, zero)
        return total / draws, halves

    means, halves = jax.lax.map(chain, jax.random.split(key, chains))
    along, held = n_beta * jnp.mean(means[:, 1]) / size, localisation * jnp.mean(means[:, 2]) / size
    rhat = split_rhat(halves.reshape(-1, 2), half)
    return Langevin(n_beta * (means[:, 0] - start), rhat, along + held, held)


def split_rhat(sums: jax.Array, length: int) -> jax.Array:
    """Return R-hat of sequences of a length from their sums of values and of squares [sequences, 2]; nan below 2.

    sqrt(((n - 1) W / n + B) / W), W the mean of the variances within sequences of length n, B the variance of their
    means.
    """
    if length < 2:
        return jnp.full((), jnp.nan, jnp.float64)
    mean = sums[:, 0] / length
    within = jnp.mean(jnp.maximum(sums[:, 1] - length * mean**2, 0)) / (length - 1)
    return jnp.sqrt((length - 1) / length + jnp.var(mean, ddof=1) / within)


def inner(a: Any, b: Any) -> jax.Array:
    """Return the inner product of two trees as vectors, in float64."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return jnp.sum(jnp.stack([jnp.sum(x.astype(jnp.float64) * y.astype(jnp.float64)) for x, y in pairs]))


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
