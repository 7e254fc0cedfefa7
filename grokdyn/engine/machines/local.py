"""A cluster on this machine: worker processes that share its cores, and its GPUs, without overlap.

Whoever may talk to a dask scheduler or worker can have it run code. All talk here is therefore encrypted with a key
made for this cluster, which its processes know each other by: no other user of the machine can join.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from dask import config
from distributed import Nanny, Scheduler, Security, SpecCluster
from distributed.system import MEMORY_LIMIT

from grokdyn.engine.machines import keys

# JAX takes this share of a GPU's memory; several workers on one have to split it.
GPU_SHARE = 0.75
T = TypeVar("T")
# A scheduler and its workers also answer web browsers, which show no key: those are told nothing.
SILENT = {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}


@contextmanager
def cluster_here(workers: int) -> Iterator[SpecCluster]:
    """Start a scheduler and workers that only holders of a new key can talk to; they end with this process."""
    # What workers put on disk is trusted when they read it back: only this user may write there.
    with tempfile.TemporaryDirectory(prefix="grokdyn-", ignore_cleanup_errors=True) as folder:
        with config.set(SILENT):
            made = started(workers, folder)
        with made:
            yield made


def started(workers: int, folder: str) -> SpecCluster:
    """Return a cluster whose processes work in a folder, with the present settings of dask."""
    host = {"host": "127.0.0.1", "protocol": "tls://", "dashboard": False, "dashboard_address": "127.0.0.1:0"}
    known = {**host, "security": security()}
    # The settings are copied: a worker may have to start again later.
    common = {**known, "local_directory": folder, "config": config.merge(config.config)}
    return SpecCluster(
        name="grokdyn",
        scheduler={"cls": Scheduler, "options": {**known, "port": 0}},
        workers={i: {"cls": Nanny, "options": {**common, **options(i, workers)}} for i in range(workers)},
        security=known["security"],
        silence_logs=logging.CRITICAL,  # pyright: ignore[reportArgumentType]
    )


def security() -> Security:
    """Return a new key with its certificate, for all roles alike; nothing else is let in."""
    key, certificate = keys.pair("grokdyn")
    roles = ("client", "scheduler", "worker")
    own = {f"tls_{role}_key": key for role in roles} | {f"tls_{role}_cert": certificate for role in roles}
    return Security(require_encryption=True, tls_ca_file=certificate, **own)


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
