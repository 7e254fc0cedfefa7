"""Many runs as one program: lanes sharded over devices, mapped over blocks, vmapped inside a block."""

from __future__ import annotations

import gc
import os
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from grokdyn.train.lane import Program, begin
from grokdyn.train.step import advance

AXIS = "lanes"
# How often each entry point was traced, hence compiled, in this process; tests and manifests read it.
TRACES: Counter[str] = Counter()
# The start of runs is computed once: at LLVM's second level it is compiled in less time, to the same bits.
START_OPTIONS = {"xla_backend_optimization_level": 2}
# Programs that a process keeps: a notebook's last few dozen experiments start again without compiling.
MOST_PROGRAMS = 48


def over_lanes(function: Callable, mesh: Mesh, block: int) -> Callable:
    """Return ``function(lane, rest)`` for lanes stacked on a leading axis, ``rest`` the same for all.

    Each device takes its share of the lanes in blocks: a loop over blocks, ``vmap`` inside. On a CPU a block of one
    keeps a small network in cache and leaves it the very program of a lone run.
    """

    def on_device(lanes: Any, rest: Any) -> Any:
        blocks = jax.tree.map(lambda x: x.reshape(-1, block, *x.shape[1:]), lanes)
        done = jax.lax.map(lambda part: on_part(function, part, rest, block), blocks)
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), done)

    spec = PartitionSpec(AXIS)
    return jax.shard_map(on_device, mesh=mesh, in_specs=(spec, PartitionSpec()), out_specs=spec, check_vma=False)


def on_part(function: Callable, part: Any, rest: Any, block: int) -> Any:
    """Return ``function`` of every lane of a block; a single lane is computed without ``vmap``."""
    if block > 1:
        return jax.vmap(function, in_axes=(0, None))(part, rest)
    one = function(jax.tree.map(lambda x: x[0], part), rest)
    return jax.tree.map(lambda x: x[None], one)


class Programs(NamedTuple):
    """The compiled entry points of one program.

    Attributes:
        begin: (experiments, table, start) -> constants and state at step 0 of every lane.
        advance: (lanes, states, order, counts, table, stretches, due) -> states and records [lanes, records, ...]; the
            active lanes are advanced by the same stretches. ``order`` int32 [lanes] holds for each device the places
            of its lanes, the active ones first; ``counts`` int32 [devices] how many of them are active; the others
            keep their state and record zeros. They cost nothing, and no number of them needs another program.
    """

    begin: Callable[..., Any]
    advance: Callable[..., Any]


PROGRAMS: OrderedDict[Any, Programs] = OrderedDict()
LOCK = threading.Lock()


def programs(program: Program, mesh: Mesh, block: int, experiments: Any) -> Programs:
    """Return the entry points for experiments of one structure, those of an earlier call where all is the same.

    Each structure has functions of its own to compile, so that no cache below can take one for another; the ones used
    longest ago are let go, with what was compiled for them.
    """
    key = (program, mesh, block, jax.tree.structure(experiments))
    how = {"program": program, "mesh": mesh, "block": block}
    with LOCK:
        if key not in PROGRAMS:
            PROGRAMS[key] = Programs(
                jax.jit(partial(begin_lanes, **how), compiler_options=start_options(mesh)),
                jax.jit(partial(advance_lanes, **how), donate_argnums=1),
            )
        PROGRAMS.move_to_end(key)
        while len(PROGRAMS) > MOST_PROGRAMS:
            PROGRAMS.popitem(last=False)
        return PROGRAMS[key]


def start_options(mesh: Mesh) -> dict[str, Any]:
    """Return how XLA compiles the start of runs, where a user's ``XLA_FLAGS`` do not say it."""
    if mesh.devices.flat[0].platform != "cpu":
        return {}
    flags = os.environ.get("XLA_FLAGS", "")
    return {name: value for name, value in START_OPTIONS.items() if name not in flags}


def compile_both(known: Programs, beginning: tuple[Any, ...], training: Callable[[Any], tuple[Any, ...]]) -> None:
    """Compile both entry points for what they will be called with; the calls find what was compiled.

    XLA compiles the start of the runs in a thread of its own, while Python, which it does not need, traces and lowers
    their training.

    Args:
        beginning: what ``begin`` will be called with.
        training: returns what ``advance`` will be called with, from shapes of what ``begin`` returns.
    """
    with uncollected():
        begun = known.begin.lower(*beginning)
    with ThreadPoolExecutor(1) as other:
        compiled = other.submit(begun.compile)
        with uncollected():
            trained = known.advance.lower(*training(begun.out_info))
        trained.compile()
        compiled.result()


@contextmanager
def uncollected() -> Iterator[None]:
    """Put off Python's search for garbage while a program is traced and lowered.

    That makes objects by the hundred thousand, nearly all of which stay: looking through them and all that is imported
    finds little and takes a fifth of the time of a small MLP; that of a transformer shows no difference.
    """
    wanted = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if wanted:
            gc.enable()


def begin_lanes(experiments: Any, shared: Any, start: Any, *, program: Program, mesh: Mesh, block: int) -> Any:
    """Trace ``Programs.begin``."""
    TRACES["begin"] += 1

    def one(experiment: Any, rest: Any) -> Any:
        lane, state = begin(program, experiment, *rest)
        return replace(lane, experiment=None), state

    # Experiments are what they were: carried through the loop over lanes, each of their numbers would be a kernel.
    lanes, states = over_lanes(one, mesh, block)(experiments, (shared, start))
    return replace(lanes, experiment=experiments), states


def advance_lanes(
    lanes: Any,
    states: Any,
    order: jax.Array,
    counts: jax.Array,
    shared: Any,
    stretches: Any,
    due: Any,
    *,
    program: Program,
    mesh: Mesh,
    block: int,
) -> Any:
    """Trace ``Programs.advance``."""
    TRACES["advance"] += 1

    # Asked for the shapes of its records, then called: inlined, one trace serves both and the program is the same.
    on_some = jax.jit(partial(advance_part, program=program, block=block), inline=True)

    def on_device(lanes: Any, states: Any, order: jax.Array, counts: jax.Array, rest: Any) -> Any:
        def on_block(i: jax.Array, carry: Any) -> Any:
            places = jax.lax.dynamic_slice_in_dim(order, i * block, block)
            states, records = carry
            part = jax.tree.map(lambda x: taken(x, places), (lanes, states))
            new_states, new_records = on_some(part, rest)
            states = jax.tree.map(lambda x, new: put(x, places, new), states, new_states)
            return states, jax.tree.map(lambda x, new: put(x, places, new), records, new_records)

        first = jax.tree.map(lambda x: x[:block], (lanes, states))
        _, shapes = jax.eval_shape(on_some, first, rest)
        empty = jax.tree.map(lambda x: jnp.zeros((order.shape[0], *x.shape[1:]), x.dtype), shapes)
        blocks = (counts[0] + block - 1) // block
        return jax.lax.fori_loop(jnp.int32(0), blocks, on_block, (states, empty))

    split, whole = PartitionSpec(AXIS), PartitionSpec()
    sharded = jax.shard_map(
        on_device, mesh=mesh, in_specs=(split, split, split, split, whole), out_specs=split, check_vma=False
    )
    return sharded(lanes, states, order, counts, (shared, stretches, due))


def advance_part(part: Any, rest: Any, *, program: Program, block: int) -> Any:
    """Return new states and records of a block of lanes with their states."""

    def one(lane_and_state: Any, rest: Any) -> Any:
        return advance(program, *lane_and_state, *rest)

    return on_part(one, part, rest, block)


def taken(x: jax.Array, places: jax.Array) -> jax.Array:
    """Return the entries of a leading axis at places that are all in it."""
    if len(places) == 1:  # a slice is traced, lowered and compiled sooner than a gather
        return jax.lax.dynamic_slice_in_dim(x, places[0], 1)
    return x.at[places].get(mode="promise_in_bounds")


def put(x: jax.Array, places: jax.Array, new: jax.Array) -> jax.Array:
    """Return an array with entries of its leading axis replaced, at places that are distinct and all in it."""
    if len(places) == 1:
        return jax.lax.dynamic_update_slice_in_dim(x, new, places[0], 0)
    return x.at[places].set(new, mode="promise_in_bounds", unique_indices=True)


def shapes_on(mesh: Mesh, lanes: Any) -> Any:
    """Return shapes of lanes as arrays of their own would have them that are split over the mesh."""
    split = NamedSharding(mesh, PartitionSpec(AXIS))
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=split), lanes)


def placed(tree: Any, mesh: Mesh, sharded: bool) -> Any:
    """Put host arrays on the mesh: split along their leading axis, or whole on every device."""
    spec = PartitionSpec(AXIS) if sharded else PartitionSpec()
    return jax.device_put(tree, NamedSharding(mesh, spec))


def lane_mesh(devices: list[Any]) -> Mesh:
    """Return the one-dimensional mesh of lanes over the devices."""
    return Mesh(np.asarray(devices), (AXIS,))
