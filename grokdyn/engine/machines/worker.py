"""What runs on the workers of a cluster.

A batch ends early, with its state saved, when its worker is about to leave or its client does not want it any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distributed import Reschedule, Worker, get_worker
from distributed.core import Status

from grokdyn.engine.host.interrupt import Interrupted, Wish
from grokdyn.engine.machines.here import create, work
from grokdyn.spec.sweep import Sweep
from grokdyn.train.origin import Origin
from grokdyn.train.start import Start

STAYS = (Status.running, Status.paused)
# Between two looks whether the tasks of a worker that leaves are over.
LOOK_SECONDS = 0.05


def prepare(
    sweep: Sweep, path: str, start: Start | None, origin: Origin, batches: int, asked: Sequence[str] = ()
) -> None:
    """Make the store of a sweep, on a worker: it records the device that trains."""
    if not (Path(path) / "spec.toml").is_file():  # a retry, after the first attempt's worker was lost
        create(sweep, path, start, origin, batches, asked=asked)


def train(path: str, batch: int, anyway: bool, checkpoint_seconds: float) -> None:
    """Train one batch of a store, from where another worker left it."""
    worker = get_worker()
    task = worker.get_current_task()
    worker.loop.add_callback(listen, worker)
    wish = Wish(lambda: not wanted(worker, task))
    try:
        work(path, [batch], progress=False, anyway=anyway, checkpoint_seconds=checkpoint_seconds, wish=wish)
    except Interrupted:
        raise Reschedule from None


def wanted(worker: Worker, task: Any) -> bool:
    """Return whether a task should go on here."""
    known = worker.state.tasks.get(task)
    return worker.status in STAYS and known is not None and known.state != "cancelled"


def listen(worker: Worker) -> None:
    """Let SIGTERM and Ctrl-C make a worker leave in order; runs in the event loop.

    Without a nanny, dask's command line has handlers of its own that do so.
    """
    if worker.nanny is not None:
        for number in (signal.SIGTERM, signal.SIGINT):
            # Not in the main thread, or not on this system: then the checkpoints by time have to do.
            with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
                asyncio.get_running_loop().add_signal_handler(number, leave_soon, worker)


def leave_soon(worker: Worker) -> None:
    if worker.status in STAYS:
        # No new tasks from now on. The scheduler moves the old ones only once they have saved their state.
        worker.status = Status.closing_gracefully
        worker.loop.add_callback(leave, worker)


async def leave(worker: Worker) -> None:
    """Close a worker when its tasks are over; whether a new one takes its place is up to the nanny."""
    while worker.active_keys:
        await asyncio.sleep(LOOK_SECONDS)
    await worker.close(nanny=False, reason="asked to stop")


def busy(tasks: list[str], dask_worker: Worker) -> bool:
    """Return whether a worker is at one of the tasks."""
    return not dask_worker.active_keys.isdisjoint(tasks)
