"""What is read off a kernel: alignment with targets, likeness of two kernels, spectrum. In float64.

K, L are [n, n] and symmetric, Y the targets [n, outputs]. |.| is the Frobenius norm, H = I - 11^T/n. A ratio whose
denominator is 0, such as alignment with constant targets after centring, is nan. So is one of what centring leaves as
rounding, such as of a constant kernel: less than a few units of the dtype that it came in.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

# What is left of a matrix by centring is rounding below so many units of it.
NOISE = 4


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
    W = wide(K)
    return without_rounding(W - jnp.mean(W, axis=0) - jnp.mean(W, axis=1)[:, None] + jnp.mean(W), K)


def without_rounding(left: jax.Array, whole: jax.Array) -> jax.Array:
    """Return what centring left of an array [n, ...]; zeros where that is rounding, of its entries or of their sums."""
    units = NOISE * float(jnp.finfo(whole.dtype).eps) + whole.shape[0] * float(jnp.finfo(left.dtype).eps)
    return jnp.where(norm(left) <= units * norm(whole), jnp.zeros((), left.dtype), left)


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
    W, Z = wide(K), wide(Y)
    return alignment(without_rounding(W - jnp.mean(W, axis=0), K), without_rounding(Z - jnp.mean(Z, axis=0), Y))


def eigenvalues_and_energy(K: jax.Array, Y: jax.Array, top: int) -> tuple[jax.Array, jax.Array]:
    """Return the eigenvalues of K, increasing [n], and |U^T Y|^2 / |Y|^2, U the eigenvectors of the ``top`` largest.

    The share is nan where no eigenvalue is above 0.
    """
    values, vectors = jnp.linalg.eigh(wide(K))
    Y = wide(Y)
    share = jnp.sum(jnp.square(vectors[:, -top:].T @ Y)) / jnp.sum(jnp.square(Y))
    return values, jnp.where(values[-1] > 0, share, jnp.nan)


def effective_rank(values: jax.Array) -> jax.Array:
    """Return exp(-sum_i p_i log p_i), p the eigenvalues over their sum, negative ones as 0 (Roy & Vetterli 2007).

    nan where no eigenvalue is above 0.
    """
    values = jnp.maximum(values, 0)
    p = values / jnp.sum(values)
    return jnp.exp(-jnp.sum(jnp.where(p > 0, p * jnp.log(jnp.where(p > 0, p, 1)), p)))


def unit_gram(X: jax.Array) -> jax.Array:
    """Return XX^T / |XX^T| of features [n, ...] with centred columns; the CKA of two is their inner product."""
    W = wide(X).reshape(X.shape[0], -1)
    W = without_rounding(W - jnp.mean(W, axis=0), X)
    gram = W @ W.T
    return gram / norm(gram)


def linear_cka(X: jax.Array, Z: jax.Array) -> jax.Array:
    """Return |Z^T X|^2 / (|X^T X| |Z^T Z|) of features [n, ...] with centred columns (Kornblith et al. 2019)."""
    return inner(unit_gram(X), unit_gram(Z))
