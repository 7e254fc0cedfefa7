"""Extreme eigenvalues and the trace of a symmetric matrix that is known by its products with vectors."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

Product = Callable[[jax.Array], jax.Array]


def lanczos(product: Product, key: jax.Array, size: int, iterations: int, dtype: str) -> jax.Array:
    """Return the Ritz values of a symmetric matrix H [size, size], increasing, float64 [min(iterations, size)].

    The first and last Ritz values are the lowest and the highest eigenvalue from inside; after ``size`` iterations they
    are all eigenvalues.

    Args:
        product: v -> H v, float vectors of the dtype.
    """
    return jnp.linalg.eigvalsh(tridiagonal(product, key, size, iterations, dtype))


def tridiagonal(product: Product, key: jax.Array, size: int, iterations: int, dtype: str) -> jax.Array:
    """Return H in the basis that Lanczos makes from a random unit vector v, a tridiagonal matrix, float64.

    With full reorthogonalisation. Where the space of powers of H ends early, it goes on from a random vector orthogonal
    to what it has, so that no value is made up.
    """
    count = min(iterations, size)
    draws = jax.random.normal(key, (count, size), dtype)
    tiny = 10 * jnp.finfo(dtype).eps

    def step(i: jax.Array, state: tuple[jax.Array, jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, ...]:
        basis, diagonal, beside, scale = state
        q = basis[i]
        w = product(q)
        diagonal = diagonal.at[i].set(jnp.dot(q, w))
        scale = jnp.maximum(scale, jnp.linalg.norm(w))
        w = clear(w, basis)
        length = jnp.linalg.norm(w)
        ended = length <= tiny * scale
        fresh = clear(unit(clear(draws[(i + 1) % count], basis)), basis)
        new = jnp.where(ended, unit(fresh), w / jnp.where(ended, 1, length))
        more = i + 1 < count
        basis = basis.at[(i + 1) % count].set(jnp.where(more, new, basis[0]))
        beside = beside.at[i].set(jnp.where(ended | ~more, 0, length))
        return basis, diagonal, beside, scale

    basis = jnp.zeros((count, size), dtype).at[0].set(unit(draws[0]))
    zero = jnp.zeros(count, dtype)
    _, diagonal, beside, _ = jax.lax.fori_loop(0, count, step, (basis, zero, zero, jnp.zeros((), dtype)))
    diagonal, beside = diagonal.astype(jnp.float64), beside.astype(jnp.float64)[:-1]
    return jnp.diag(diagonal) + jnp.diag(beside, 1) + jnp.diag(beside, -1)


def quadrature(product: Product, key: jax.Array, size: int, iterations: int, dtype: str) -> tuple[jax.Array, jax.Array]:
    """Return Ritz values and weights of one random start v, float64 [min(iterations, size)]: v . f(H) v = sum w f.

    Exact for polynomials of degree up to 2 iterations - 1 (Golub & Welsch 1969); the mean over starts is that of f over
    the eigenvalues, as v is uniform on the sphere.
    """
    values, vectors = jnp.linalg.eigh(tridiagonal(product, key, size, iterations, dtype))
    return values, jnp.square(vectors[0])


def unit(v: jax.Array) -> jax.Array:
    return v / jnp.linalg.norm(v)


def clear(v: jax.Array, basis: jax.Array) -> jax.Array:
    """Return v without what the rows of a basis span; taken out twice, since once leaves its rounding."""
    for _ in range(2):
        v = v - basis.T @ (basis @ v)
    return v


def hutchinson(product: Product, key: jax.Array, size: int, samples: int, dtype: str) -> tuple[jax.Array, jax.Array]:
    """Return the mean of v . H v over random signs v, an unbiased estimate of the trace, and its standard error."""

    def one(key: jax.Array) -> jax.Array:
        v = jax.random.rademacher(key, (size,), dtype)
        return jnp.sum(v.astype(jnp.float64) * product(v).astype(jnp.float64))

    values = jax.lax.map(one, jax.random.split(key, samples))
    return jnp.mean(values), jnp.std(values, ddof=1) / jnp.sqrt(jnp.float64(samples))
