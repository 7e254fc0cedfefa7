"""Normalisation of activations: over a batch, over chunks of it, over a row's units."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from grokdyn.models.output import Mode


class Statistics(NamedTuple):
    """Mean and variance of every unit [units]: those of rows, or their running averages."""

    mean: jax.Array
    variance: jax.Array


def batch_norm(
    x: jax.Array, running: Statistics, mode: Mode, eps: Any, momentum: Any, chunk: int | None
) -> tuple[jax.Array, Statistics]:
    """Return x normalised unit by unit, and the running statistics after it (Ioffe & Szegedy 2015).

    As ``nn.BatchNorm1d`` and ``2d``: in training (x - mean) / sqrt(variance + eps) with the biased statistics of the
    real rows, and running <- (1 - momentum) running + momentum (batch's), there with the unbiased variance; measured,
    the same with the running ones. Scale and shift are not applied here.

    Args:
        x: [rows, ..., units]; places between are counted as rows are.
        chunk: rows that are normalised together, in their order, the last ones perhaps fewer; running statistics see
            chunk after chunk (ghost batch norm, Hoffer et al. 2017). None: all rows.
    """
    eps, momentum = jnp.asarray(eps, x.dtype), jnp.asarray(momentum, x.dtype)
    if not mode.training:
        return normalised(x, running, eps), running
    rows = x.shape[0]
    if chunk is None or chunk >= rows:
        found, count = statistics(x, mode.counts)
        return normalised(x, found, eps), followed(running, found, count, momentum)
    parts = -(-rows // chunk)
    filled = jnp.pad(x, ((0, parts * chunk - rows), *((0, 0),) * (x.ndim - 1))).reshape(parts, chunk, *x.shape[1:])
    real = jnp.ones(rows, bool) if mode.counts is None else mode.counts
    counts = jnp.pad(real, (0, parts * chunk - rows)).reshape(parts, chunk)
    found, count = jax.vmap(statistics)(filled, counts)
    y = jax.vmap(normalised, in_axes=(0, 0, None))(filled, found, eps)

    def follow(running: Statistics, part: tuple[Statistics, jax.Array]) -> tuple[Statistics, None]:
        new = followed(running, *part, momentum)
        return jax.tree.map(lambda a, b: jnp.where(part[1] > 0, a, b), new, running), None

    running, _ = jax.lax.scan(follow, running, (found, count))
    return y.reshape(parts * chunk, *x.shape[1:])[:rows], running


def statistics(x: jax.Array, counts: jax.Array | None) -> tuple[Statistics, jax.Array]:
    """Return the biased statistics of the rows that count, and how many values of a unit they hold."""
    flat = x.reshape(-1, x.shape[-1])
    if counts is None:
        mean = jnp.mean(flat, axis=0)
        return Statistics(mean, jnp.mean(jnp.square(flat - mean), axis=0)), jnp.asarray(flat.shape[0], x.dtype)
    weight = jnp.repeat(counts, flat.shape[0] // x.shape[0]).astype(x.dtype)
    count = jnp.sum(weight)
    share = weight / jnp.maximum(count, 1)
    mean = share @ flat
    return Statistics(mean, share @ jnp.square(flat - mean)), count


def normalised(x: jax.Array, found: Statistics, eps: jax.Array) -> jax.Array:
    return (x - found.mean) * jax.lax.rsqrt(found.variance + eps)


def followed(running: Statistics, found: Statistics, count: jax.Array, momentum: jax.Array) -> Statistics:
    """Return running statistics after those of a batch of so many values a unit."""
    unbiased = found.variance * (count / jnp.maximum(count - 1, 1))
    return Statistics(
        (1 - momentum) * running.mean + momentum * found.mean, (1 - momentum) * running.variance + momentum * unbiased
    )


def row_norm(x: jax.Array, eps: Any, centred: bool) -> jax.Array:
    """Return the units of every place over their root mean square; where ``centred``, less their mean before.

    As ``nn.LayerNorm`` (centred) and ``nn.RMSNorm`` (not) over the last axis, without scale and shift.
    """
    if centred:
        x = x - jnp.mean(x, axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + jnp.asarray(eps, x.dtype))
