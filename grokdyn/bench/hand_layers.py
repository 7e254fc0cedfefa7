"""Further networks written by hand: convolutions, and batch norm with what it carries."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import optax

from grokdyn.bench.begin import Beginning

Params = dict[str, jax.Array]


def cnn(experiment: Any) -> Callable:
    """Return (params, images) -> logits: convolutions as products with patches, maxima of 2 x 2, one linear layer."""
    depth, size = len(experiment.model.channels), experiment.model.kernel

    def apply(params: Params, x: jax.Array) -> jax.Array:
        for layer in range(depth):
            W = params[f"W_{layer}"]
            h, w = x.shape[1:3]
            x = jnp.pad(x, ((0, 0), (size // 2,) * 2, (size // 2,) * 2, (0, 0)))
            patches = jnp.concatenate([x[:, i : i + h, j : j + w] for i, j in product(range(size), repeat=2)], axis=-1)
            x = jax.nn.relu(patches @ W.reshape(-1, W.shape[-1]) + params[f"b_{layer}"])
            a, b, c, d = (x[:, i : 2 * (h // 2) : 2, j : 2 * (w // 2) : 2] for i, j in product((0, 1), repeat=2))
            x = jnp.maximum(jnp.maximum(a, b), jnp.maximum(c, d))
        return x.reshape(x.shape[0], -1) @ params[f"W_{depth}"] + params[f"b_{depth}"]

    return apply


def batch_norm(experiment: Any) -> Callable:
    """Return (params, running, tokens) -> logits and running statistics, norms behind the activation (the square)."""
    p, depth, m = experiment.task.p, len(experiment.model.hidden), experiment.model.norm_momentum
    eps = experiment.model.norm_eps

    def apply(params: Params, running: Params, tokens: jax.Array) -> tuple[jax.Array, Params]:
        z, new, rows = params["W_0"][tokens[:, 0]] + params["W_0"][tokens[:, 1] + p], {}, len(tokens)
        for layer in range(depth):
            h = jnp.square(z)
            mean, variance = jnp.mean(h, axis=0), jnp.var(h, axis=0)
            new[f"mean_{layer}"] = (1 - m) * running[f"mean_{layer}"] + m * mean
            new[f"variance_{layer}"] = (1 - m) * running[f"variance_{layer}"] + m * variance * (rows / (rows - 1))
            h = (h - mean) * jax.lax.rsqrt(variance + eps)
            z = (h * params[f"scale_{layer}"] + params[f"shift_{layer}"]) @ params[f"W_{layer + 1}"]
        return z, new

    return apply


def batch_norm_trainer(experiment: Any, beginning: Beginning, losses: Callable, adamw: Any) -> Callable:
    """Return ((params, rows), steps) -> params and running statistics after that many full-batch steps of one run."""
    apply, classes = batch_norm(experiment), experiment.task.signature().outputs
    inputs, labels = (jnp.asarray(column) for column in beginning.table)

    def loss(params: Params, running: Params, x: jax.Array, y: jax.Array) -> tuple[jax.Array, Params]:
        logits, running = apply(params, running, x)
        return jnp.mean(losses(logits, y[:, None] == jnp.arange(classes))), running

    def train(start: Any, steps: jax.Array) -> Params:
        params, rows = start
        x, y = inputs[rows], labels[rows]

        def step(_: Any, state: Any) -> Any:
            params, running, slots = state
            slopes, running = jax.grad(loss, has_aux=True)(params, running, x, y)
            updates, slots = adamw.update(slopes, slots, params)
            return optax.apply_updates(params, updates), running, slots

        first = {}
        for layer, width in enumerate(experiment.model.hidden):
            first |= {f"mean_{layer}": jnp.zeros(width), f"variance_{layer}": jnp.ones(width)}
        params, running, _ = jax.lax.fori_loop(0, steps, step, (params, first, adamw.init(params)))
        return params | running

    return train
