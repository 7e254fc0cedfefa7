"""The same maths in plain JAX and optax: no engine, no records, no probes, numbers compiled in as constants.

This is what a careful user would write for one experiment, in the best layout known. On a CPU: lanes over one logical
device per core, one lane after the other, activations of a tile of rows alive at a time. Elsewhere: one vmap.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from grokdyn.bench import hand_layers
from grokdyn.bench.begin import Beginning

# Rows whose activations fit the second-level cache of a CPU core.
CPU_TILE = 512
PHI: dict[str, Callable] = {"relu": jax.nn.relu, "square": jnp.square}


def mlp(experiment: Any) -> Callable:
    """Return (params, tokens [rows, 2]) -> logits [rows, p] of a network without biases."""
    p, phi, depth = experiment.task.p, PHI[experiment.model.activation], len(experiment.model.hidden)

    def apply(params: Any, tokens: jax.Array) -> jax.Array:
        z = params["W_0"][tokens[:, 0]] + params["W_0"][tokens[:, 1] + p]
        for layer in range(1, depth + 1):
            z = phi(z) @ params[f"W_{layer}"]
        return z

    return apply


def transformer(experiment: Any) -> Callable:
    """Return (params, tokens [rows, 3]) -> logits of one layer without norms, at the last token.

    Only that token's output is computed, and queries, keys and values are looked up in tables of the vocabulary.
    """
    heads, d = experiment.model.heads, experiment.model.d_model
    own = jnp.asarray(np.kron(np.eye(heads), np.ones((d // heads, 1))), jnp.float32)

    def apply(params: Any, tokens: jax.Array) -> jax.Array:
        E, P, columns = params["W_E"], params["W_pos"], list(tokens.T)

        def looked_up(part: str) -> list[jax.Array]:
            W = params[f"W_{part}_0"]
            table, added = E @ W, P @ W
            return [table[column] + added[i] for i, column in enumerate(columns)]

        q, k, v = looked_up("Q")[-1], looked_up("K"), looked_up("V")
        weights = jax.nn.softmax(jnp.stack([(q * key) @ own for key in k]) / np.float32((d // heads) ** 0.5), axis=0)
        read = sum((w @ own.T) * value for w, value in zip(weights, v, strict=True))
        x = E[columns[-1]] + P[-1] + read @ params["W_O_0"]
        x = x + jax.nn.relu(x @ params["W_in_0"] + params["b_in_0"]) @ params["W_out_0"] + params["b_out_0"]
        return x @ params["W_U"]

    return apply


def cross_entropy(logits: jax.Array, hot: jax.Array) -> jax.Array:
    return -jnp.sum(jnp.where(hot, jax.nn.log_softmax(logits), 0), axis=-1)


def mse(logits: jax.Array, hot: jax.Array) -> jax.Array:
    return jnp.mean(jnp.square(logits - hot), axis=-1)


NETWORKS: dict[str, Callable] = {
    "mlp": mlp,
    "transformer": transformer,
    "cnn": hand_layers.cnn,
    "batch_norm": hand_layers.batch_norm,
}
# Networks that carry more than parameters, and whose rows are passed together.
TRAINERS: dict[str, Callable] = {"batch_norm": hand_layers.batch_norm_trainer}
LOSSES: dict[str, Callable] = {"CrossEntropy": cross_entropy, "MSE": mse}


class Hand:
    """All runs of a case from their beginning; calling it trains them and returns their parameters."""

    def __init__(self, network: str, experiment: Any, beginning: Beginning, devices: list[Any]):
        self.runs = len(beginning.rows)
        self.precision = experiment.matmul_precision
        used = min(len(devices), self.runs)
        cpu = devices[0].platform == "cpu"
        lanes = np.arange(-(-self.runs // used) * used) % self.runs  # padded to equal shares
        mesh = Mesh(np.asarray(devices[:used]), ("lanes",))
        train = trainer(network, experiment, beginning, tiles=-(-beginning.rows.shape[1] // CPU_TILE) if cpu else 1)
        self.train = jax.jit(over_lanes(train, mesh, one_by_one=cpu))
        share = NamedSharding(mesh, PartitionSpec("lanes"))
        self.lanes = jax.device_put(jax.tree.map(lambda x: x[lanes], (beginning.params, beginning.rows)), share)

    def __call__(self, steps: int) -> dict[str, jax.Array]:
        with jax.default_matmul_precision(self.precision):
            params = jax.block_until_ready(self.train(self.lanes, jnp.int32(steps)))
        return {name: values[: self.runs] for name, values in params.items()}


def over_lanes(train: Callable, mesh: Mesh, one_by_one: bool) -> Callable:
    """Return ``train`` for stacked lanes, sharded over the devices."""

    def on_device(lanes: Any, steps: jax.Array) -> Any:
        one = partial(train, steps=steps)
        return jax.lax.map(one, lanes) if one_by_one else jax.vmap(one)(lanes)

    shared, split = PartitionSpec(), PartitionSpec("lanes")
    return jax.shard_map(on_device, mesh=mesh, in_specs=(split, shared), out_specs=split, check_vma=False)


def trainer(network: str, experiment: Any, beginning: Beginning, tiles: int) -> Callable:
    """Return ((params, rows), steps) -> params after that many full-batch AdamW steps of one run."""
    losses, o = LOSSES[type(experiment.loss).__name__], experiment.optimizer
    adamw = optax.adamw(o.learning_rate, o.b1, o.b2, o.eps, weight_decay=o.weight_decay)
    if network in TRAINERS:
        return TRAINERS[network](experiment, beginning, losses, adamw)
    apply = NETWORKS[network](experiment)
    inputs, labels = (jnp.asarray(column) for column in beginning.table)
    classes, n = experiment.task.signature().outputs, beginning.rows.shape[1]
    padding = -n % tiles

    def loss(params: Any, tile: Any) -> jax.Array:
        x, y, weight = tile
        return jnp.sum(losses(apply(params, x), y[:, None] == jnp.arange(classes)) * weight)

    def train(start: Any, steps: jax.Array) -> Any:
        params, rows = start
        rows = jnp.pad(rows, (0, padding))
        weight = jnp.where(jnp.arange(n + padding) < n, jnp.float32(1 / n), 0)
        batch = jax.tree.map(lambda a: a.reshape(tiles, -1, *a.shape[1:]), (inputs[rows], labels[rows], weight))

        def step(_: Any, state: Any) -> Any:
            params, slots = state
            updates, slots = adamw.update(gradient(loss, params, batch), slots, params)
            return optax.apply_updates(params, updates), slots

        return jax.lax.fori_loop(0, steps, step, (params, adamw.init(params)))[0]

    return train


def gradient(loss: Callable, params: Any, batch: Any) -> Any:
    """Return the gradient of the sum of ``loss`` over tiles stacked on a leading axis."""
    if len(batch[0]) == 1:
        return jax.grad(loss)(params, jax.tree.map(lambda a: a[0], batch))

    def add(total: Any, tile: Any) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, jax.grad(loss)(params, tile)), None

    return jax.lax.scan(add, jax.tree.map(jnp.zeros_like, params), batch)[0]
