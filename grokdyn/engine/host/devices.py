"""Which devices run the lanes."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from typing import Any

import jax

from grokdyn.engine.host.memory import available

# Lanes vmapped together: on a CPU one, which stays in cache; elsewhere all that a device has, or a part of very many,
# so that blocks whose lanes are all over can be left out.
CPU_BLOCK = 1
LARGE_BLOCK = 512
# Bytes of a batch: small enough for a laptop, large enough to keep devices busy.
CPU_BATCH_BYTES, LARGE_BATCH_BYTES = 2**30, 2**31
# XLA takes another way through its passes for one device than for several, and other bits come out. So that a machine
# with one core agrees with the others, it has two devices as well.
FEWEST_CPU_DEVICES = 2


def cores() -> int:
    """Return the number of CPU cores this process may use, or JAX_NUM_CPU_DEVICES where the user has set it."""
    asked = os.environ.get("JAX_NUM_CPU_DEVICES", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def devices() -> list[Any]:
    """Return the devices to shard lanes over: all GPUs or TPUs, or one logical CPU device per core, at least two.

    JAX fixes the number of its CPU devices when its backend starts. If that has happened with fewer than there are
    cores, a warning says how to get them.
    """
    wanted = max(cores(), FEWEST_CPU_DEVICES)
    with contextlib.suppress(RuntimeError):  # refused once a backend runs
        jax.config.update("jax_num_cpu_devices", wanted)
    found = jax.local_devices()
    if found[0].platform == "cpu" and len(found) < wanted:
        warnings.warn(
            f"JAX was started with {len(found)} CPU device(s) on {cores()} cores, so small networks train at a "
            f"fraction of the speed. Call grokdyn.run before other JAX code, or set JAX_NUM_CPU_DEVICES={wanted}.",
            RuntimeWarning,
            stacklevel=3,
        )
    return found


def batch_bytes(device: Any) -> int:
    """Return the bytes that state and records of a batch may take on a device, or on a CPU in this process."""
    if device.platform == "cpu":
        return min(CPU_BATCH_BYTES, available() // 8)
    limit = (device.memory_stats() or {}).get("bytes_limit", 16 * LARGE_BATCH_BYTES)
    return min(LARGE_BATCH_BYTES, limit // 16)  # activations of all lanes of a block are alive together


def block_size(cpu: bool, lanes_per_device: int) -> int:
    """Return how many lanes are vmapped together."""
    return CPU_BLOCK if cpu else min(lanes_per_device, LARGE_BLOCK)


def peak_bytes(found: list[Any]) -> int | None:
    """Return the most memory that was in use so far: of the devices together, or of this process if they are CPUs."""
    told = [device.memory_stats() or {} for device in found]
    if all("peak_bytes_in_use" in stats for stats in told):
        return sum(int(stats["peak_bytes_in_use"]) for stats in told)
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
