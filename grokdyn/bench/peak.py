"""How much of the machine the engine uses: its operations beside those of a large matrix product."""

from __future__ import annotations

import time
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from grokdyn.engine.loop.speed import operations_per_step
from grokdyn.engine.plan.plan import Plan
from grokdyn.spec.sweep import Sweep
from grokdyn.train.compiled import AXIS, lane_mesh

# Products of square matrices of this size, so many in a call, on every device; the fastest of some calls counts.
SIZE, PRODUCTS, CALLS = 1024, 8, 5


def peak(devices: list[Any], precision: str) -> float:
    """Return the operations per second of large float32 matrix products on all devices at once."""

    def products(x: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, PRODUCTS, lambda _, y: y @ x[0], x[0])[None]

    split = PartitionSpec(AXIS)
    sharded = jax.shard_map(products, mesh=lane_mesh(devices), in_specs=split, out_specs=split, check_vma=False)
    # A matrix whose powers stay what they are.
    start = jnp.full((len(devices), SIZE, SIZE), 1 / SIZE, jnp.float32)
    with jax.default_matmul_precision(precision):
        compiled = jax.jit(sharded)
        jax.block_until_ready(compiled(start))
        fastest = min(seconds(compiled, start) for _ in range(CALLS))
    return 2 * SIZE**3 * PRODUCTS * len(devices) / fastest


def seconds(function: Any, argument: Any) -> float:
    began = time.perf_counter()
    jax.block_until_ready(function(argument))
    return time.perf_counter() - began


def operations(experiment: Any, devices: list[Any]) -> float:
    """Return the operations of the gradient of one update of one run."""
    with jax.enable_x64(True):
        return operations_per_step(Plan.of(Sweep(experiment, {}), devices).cohorts[0])
