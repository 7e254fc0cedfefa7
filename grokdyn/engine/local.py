"""A cluster on this machine: worker processes that share its cores, and its GPUs, without overlap."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from distributed import Nanny, Scheduler, SpecCluster
from distributed.system import MEMORY_LIMIT

# JAX takes this share of a GPU's memory; several workers on one have to split it.
GPU_SHARE = 0.75
T = TypeVar("T")


def cluster_here(workers: int) -> SpecCluster:
    """Start a scheduler and workers; they end with this process."""
    host = {"host": "127.0.0.1", "dashboard": False, "dashboard_address": "127.0.0.1:0"}
    return SpecCluster(
        name="grokdyn",
        scheduler={"cls": Scheduler, "options": {**host, "port": 0}},
        workers={i: {"cls": Nanny, "options": {**host, **options(i, workers)}} for i in range(workers)},
        silence_logs=logging.CRITICAL,  # pyright: ignore[reportArgumentType]
    )


def options(worker: int, workers: int) -> dict[str, Any]:
    """Return what makes one worker keep to its share of the machine."""
    mine, graphics = share(cores(), worker, workers), gpus()
    environment = {"JAX_NUM_CPU_DEVICES": str(len(mine))}
    if graphics:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(share(graphics, worker, workers))
        fraction = GPU_SHARE / -(-workers // len(graphics))
        environment["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{fraction:.3f}"
    # Run in the worker before JAX starts: its threads keep to these cores.
    pin = f"import os\nif hasattr(os, 'sched_setaffinity'): os.sched_setaffinity(0, {mine})"
    memory = {"memory_limit": 0, "resources": {"MEMORY": MEMORY_LIMIT // workers}}
    return {"nthreads": 1, "env": environment, "preload": [pin], "silence_logs": logging.CRITICAL, **memory}


def share(things: Sequence[T], place: int, places: int) -> list[T]:
    """Return the part of a sequence for one of several places; they take turns where there are too few."""
    if places >= len(things):
        return [things[place % len(things)]]
    return list(things[place * len(things) // places : (place + 1) * len(things) // places])


def cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def gpus() -> list[str]:
    """Return the NVIDIA GPUs that this process may use, without starting them."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return [name for name in allowed.split(",") if name]
    return [str(i) for i, _ in enumerate(Path("/dev").glob("nvidia[0-9]*"))]
