"""A mixture of experts as the feed-forward part of a transformer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.models.part import Part


def chosen(probabilities: jax.Array, top: int) -> jax.Array:
    """Return which experts are among the ``top`` of largest probability [..., experts], of equal ones the first."""
    places = jax.lax.top_k(probabilities, top)[1]
    return jnp.any(places[..., None] == jnp.arange(probabilities.shape[-1]), axis=-2)


def mixed(part: Part, x: jax.Array, top: int, phi: Callable, drop: Any, place: int) -> tuple[jax.Array, jax.Array]:
    """Return sum over the chosen experts e of p_e (phi(x W_in[e] + b_in[e]) W_out[e] + b_out[e]), and p.

    p = softmax(x W_router) is not divided by the sum over those chosen (Fedus et al. 2022), so that the router has a
    gradient also where a token has one expert. All experts are computed: networks are small, and products are whole.

    Args:
        x: [positions, rows, d].

    Returns:
        [positions, rows, d], and p [positions, rows, experts].
    """
    p = jax.nn.softmax(part.linear(x, "router"), axis=-1)
    weights = jnp.where(chosen(p, top), p, jnp.zeros((), p.dtype))
    each = [of_expert(part, expert) for expert in range(p.shape[-1])]
    hidden = drop(jnp.stack([phi(one.linear(x, "in")) for one in each]), place)
    added = [weights[..., e, None] * one.linear(hidden[e], "out") for e, one in enumerate(each)]
    return sum(added[1:], added[0]), p


def of_expert(part: Part, expert: int) -> Part:
    """Return the parameters of one expert by their short names."""
    names = ("W_in", "b_in", "W_out", "b_out")
    own = {name: part.params[f"{name}{part.suffix}"] for name in names if f"{name}{part.suffix}" in part.params}
    return Part({name: w[expert] for name, w in own.items()}, "", part.norm)


def imbalance(p: jax.Array, top: int, counts: jax.Array | None) -> jax.Array:
    """Return E sum_e f_e P_e (Fedus et al. 2022): 1 where all experts have alike, E where one has all.

    f_e is the share of choices that fall on expert e, P_e its mean probability, over positions and the real rows.

    Args:
        p: [positions, rows, experts].
        counts: bool [rows]; None: all.
    """
    positions, rows, experts = p.shape
    real = jnp.ones(rows, p.dtype) if counts is None else counts.astype(p.dtype)
    share = real / (positions * jnp.maximum(jnp.sum(real), 1))
    f = jnp.einsum("pre,r->e", chosen(p, top).astype(p.dtype), share) / top
    return experts * jnp.sum(f * jnp.einsum("pre,r->e", p, share))
