"""Many runs as one program: lanes sharded over devices, mapped over blocks, vmapped inside a block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from grokdyn.train.lane import Program, begin
from grokdyn.train.step import advance

AXIS = "lanes"
# How often each entry point was traced, hence compiled, in this process; tests and manifests read it.
TRACES: Counter[str] = Counter()


def over_lanes(function: Callable, mesh: Mesh, block: int) -> Callable:
    """Return ``function(lane, rest)`` for lanes stacked on a leading axis, ``rest`` the same for all.

    Each device takes its share of the lanes in blocks: a loop over blocks, ``vmap`` inside. On a CPU a block of one
    keeps a small network in cache and leaves it the very program of a lone run.
    """

    def on_device(lanes: Any, rest: Any) -> Any:
        def on_block(part: Any) -> Any:
            if block > 1:
                return jax.vmap(function, in_axes=(0, None))(part, rest)
            one = function(jax.tree.map(lambda x: x[0], part), rest)
            return jax.tree.map(lambda x: x[None], one)

        blocks = jax.tree.map(lambda x: x.reshape(-1, block, *x.shape[1:]), lanes)
        done = jax.lax.map(on_block, blocks)
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), done)

    spec = PartitionSpec(AXIS)
    return jax.shard_map(on_device, mesh=mesh, in_specs=(spec, PartitionSpec()), out_specs=spec, check_vma=False)


@partial(jax.jit, static_argnames=("program", "mesh", "block"))
def begin_lanes(experiments: Any, shared: Any, start: Any, *, program: Program, mesh: Mesh, block: int) -> Any:
    """Return constants and state at step 0 of every lane."""
    TRACES["begin"] += 1

    def one(experiment: Any, rest: Any) -> Any:
        return begin(program, experiment, *rest)

    return over_lanes(one, mesh, block)(experiments, (shared, start))


@partial(jax.jit, static_argnames=("program", "mesh", "block"), donate_argnames=("states",))
def advance_lanes(
    lanes: Any, states: Any, shared: Any, stretches: Any, *, program: Program, mesh: Mesh, block: int
) -> Any:
    """Advance every lane by the same stretches; return states and records [lanes, records, ...]."""
    TRACES["advance"] += 1

    def one(lane_and_state: Any, rest: Any) -> Any:
        return advance(program, *lane_and_state, *rest)

    return over_lanes(one, mesh, block)((lanes, states), (shared, stretches))


def placed(tree: Any, mesh: Mesh, sharded: bool) -> Any:
    """Put host arrays on the mesh: split along their leading axis, or whole on every device."""
    spec = PartitionSpec(AXIS) if sharded else PartitionSpec()
    return jax.device_put(tree, NamedSharding(mesh, spec))


def lane_mesh(devices: list[Any]) -> Mesh:
    """Return the one-dimensional mesh of lanes over the devices."""
    return Mesh(np.asarray(devices), (AXIS,))
