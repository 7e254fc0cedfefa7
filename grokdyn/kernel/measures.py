"""What is read off a kernel: alignment with targets, likeness of two kernels, spectrum. In float64.

K, L are [n, n] and symmetric, Y the targets [n, outputs]. |.| is the Frobenius norm, H = I - 11^T/n. A ratio whose
denominator is 0, such as alignment with constant targets after centring, is nan.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp


def wide(x: jax.Array) -> jax.Array:
    """Return an array in float64."""
    return x.astype(jnp.float64)


def inner(A: jax.Array, B: jax.Array) -> jax.Array:
    """Return <A, B>, the sum of products of entries."""
    return jnp.sum(wide(A) * wide(B))


def norm(A: jax.Array) -> jax.Array:
    return jnp.sqrt(inner(A, A))


def centred(K: jax.Array) -> jax.Array:
    """Return H K H."""
    K = wide(K)
    return K - jnp.mean(K, axis=0) - jnp.mean(K, axis=1)[:, None] + jnp.mean(K)


def cosine(K: jax.Array, L: jax.Array) -> jax.Array:
    """Return <K, L> / (|K| |L|)."""
    return inner(K, L) / (norm(K) * norm(L))


def alignment(K: jax.Array, Y: jax.Array) -> jax.Array:
    """Return the kernel-target alignment <K, YY^T> / (|K| |YY^T|) (Cristianini et al. 2001)."""
    Y = wide(Y)
    return cosine(K, Y @ Y.T)


def cka(K: jax.Array, Y: jax.Array) -> jax.Array:
    """Return the centred alignment <HKH, HYY^TH> / (|HKH| |HYY^TH|) (Cortes et al. 2012), also called CKA."""
    Y = wide(Y)
    return cosine(centred(K), centred(Y @ Y.T))


def one_sided(K: jax.Array, Y: jax.Array) -> jax.Array:
    """Return the alignment of Kumar et al. (2024): targets are centred, K by K - mean over rows, not HKH."""
    K, Y = wide(K), wide(Y)
    return alignment(K - jnp.mean(K, axis=0), Y - jnp.mean(Y, axis=0))


def eigenvalues_and_energy(K: jax.Array, Y: jax.Array, top: int) -> tuple[jax.Array, jax.Array]:
    """Return the eigenvalues of K, increasing [n], and |U^T Y|^2 / |Y|^2, U the eigenvectors of the ``top`` largest."""
    values, vectors = jnp.linalg.eigh(wide(K))
    Y = wide(Y)
    share = jnp.sum(jnp.square(vectors[:, -top:].T @ Y)) / jnp.sum(jnp.square(Y))
    return values, share


def effective_rank(values: jax.Array) -> jax.Array:
    """Return exp(-sum_i p_i log p_i), p the eigenvalues over their sum, negative ones as 0 (Roy & Vetterli 2007)."""
    values = jnp.maximum(values, 0)
    p = values / jnp.sum(values)
    return jnp.exp(-jnp.sum(jnp.where(p > 0, p * jnp.log(jnp.where(p > 0, p, 1)), 0)))


def unit_gram(X: jax.Array) -> jax.Array:
    """Return XX^T / |XX^T| of features [n, ...] with centred columns; the CKA of two is their inner product."""
    X = wide(X).reshape(X.shape[0], -1)
    X = X - jnp.mean(X, axis=0)
    gram = X @ X.T
    return gram / norm(gram)


def linear_cka(X: jax.Array, Z: jax.Array) -> jax.Array:
    """Return |Z^T X|^2 / (|X^T X| |Z^T Z|) of features [n, ...] with centred columns (Kornblith et al. 2019)."""
    return inner(unit_gram(X), unit_gram(Z))
