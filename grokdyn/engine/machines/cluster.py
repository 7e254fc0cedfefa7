"""A sweep on a dask cluster: every batch is a task that any worker can do, go on with, or do again.

Only numbers of batches go through the scheduler; states and results go through the store, which all machines see.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Collection
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from grokdyn.engine.host.interrupt import Interrupted, wish_to_stop
from grokdyn.engine.host.progress import PATIENCE, Reporter, reporter
from grokdyn.engine.machines.connect import ClusterError, connected, workers
from grokdyn.engine.machines.shard import BATCHES_EACH, unfinished, untrained
from grokdyn.engine.store.files import StoreError
from grokdyn.engine.store.folder import check_free
from grokdyn.engine.store.noted import noted_batches
from grokdyn.engine.store.reading import read_manifest, read_spec
from grokdyn.spec.paths import place_of
from grokdyn.spec.sweep import Sweep
from grokdyn.train.origin import Origin
from grokdyn.train.start import Start

if TYPE_CHECKING:
    from distributed import Client, Future

# A batch that fails is tried again so often, on whatever worker.
RETRIES = 3
LOOK_SECONDS = 0.25
# How long a file that another machine wrote may take to be seen on this one.
SEEN_SECONDS = 30.0
# How long workers may take to save what they train when the sweep is interrupted.
SAVE_SECONDS = 60.0


class Cluster:
    """The workers of a cluster as those who train; connected to when they are first needed.

    Args:
        cluster: a number of workers here, a scheduler's address or file, or a client, see ``connect.meant``.
    """

    alone = False

    def __init__(self, cluster: str | Path | Client):
        self.cluster, self.stack = cluster, contextlib.ExitStack()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *error: Any) -> None:
        self.stack.__exit__(*error)

    @cached_property
    def client(self) -> Client:
        return self.stack.enter_context(connected(self.cluster))

    @property
    def batches(self) -> int:
        return BATCHES_EACH * len(workers(self.client))

    def create(self, sweep: Sweep, out: Path, start: Start | None, origin: Origin, asked: Collection[str] = ()) -> None:
        """Have a worker make the store of a sweep, in a folder that all machines see; it records the device.

        Raises:
            SpecError, StoreError, ClusterError: as ``run``.
        """
        path = place_of(out, "out")
        check_free(path)
        batches = self.batches
        from grokdyn.engine.machines import worker  # needs dask, which is there

        made = self.client.submit(worker.prepare, sweep, str(path), start, origin, batches, list(asked), pure=False)
        made.result()
        if not seen(lambda: (path / "spec.toml").is_file()):
            raise StoreError(f"out: a worker's {str(path)!r} is not seen here; allowed: a folder that all machines see")

    def train(
        self,
        path: Path,
        *,
        progress: bool | None,
        anyway: bool = False,
        checkpoint_seconds: float,
        sweep: Sweep | None = None,
    ) -> None:
        """Train the batches of a store that are not finished, whoever began them.

        Raises:
            ClusterError: if the cluster does not answer, goes away, or cannot train a batch; ``resume`` goes on.
        """
        read_spec(path, anyway, edited=True)
        if untrained(path):
            workers(self.client)
            train(self.client, path, progress, anyway, checkpoint_seconds)


def seen(there: Callable[[], bool]) -> bool:
    """Return whether something written elsewhere is there, soon."""
    until = time.monotonic() + SEEN_SECONDS
    while not there() and time.monotonic() < until:
        time.sleep(LOOK_SECONDS)
    return there()


def train(client: Client, path: Path, progress: bool | None, anyway: bool, checkpoint_seconds: float) -> None:
    """Have the unfinished batches of a store trained."""
    from grokdyn.engine.machines import worker

    known, todo, name = read_manifest(path, anyway), unfinished(path), f"grokdyn-{uuid.uuid4().hex[:8]}"
    costs, needs = [batch.updates for batch in noted_batches(known)], placement(client, known)
    with reporter([sum(costs)], progress) as shown:
        shown.skip(sum(costs) - sum(costs[batch] for batch in todo))
        shown.pace.start()  # batches come back whole, those of several workers at about the same time
        tasks = {
            batch: client.submit(
                worker.train,
                *(str(path), batch, anyway, checkpoint_seconds),
                key=f"{name}-{batch:06d}",
                retries=RETRIES,
                resources=needs[batch],
            )
            for batch in todo
        }
        failed = follow(client, path, tasks, costs, shown)
    if failed:
        batch, told = min(failed.items())
        many = f"{len(failed)} of {len(costs)} batches failed {RETRIES + 1} times, batch {batch + 1} with: {told}"
        raise ClusterError(f"{many}; the others are kept; grokdyn resume {path}")
    seen(lambda: not unfinished(path))


def placement(client: Client, known: dict[str, Any]) -> list[dict[str, float] | None]:
    """Return for every batch the resources it needs: memory, if there are workers that declare theirs.

    The need is an estimate. A batch that is larger than every worker is tried on the largest.
    """
    most = max(each.get("resources", {}).get("MEMORY", 0) for each in workers(client))
    return [{"MEMORY": min(batch.bytes, most)} if most else None for batch in noted_batches(known)]


def follow(client: Client, path: Path, tasks: dict[int, Future], costs: list[int], shown: Reporter) -> dict[int, str]:
    """Wait for tasks, show those that finish, return what made others fail for good."""
    failed, total, told = {}, len(tasks), Crowd(client, shown)
    with wish_to_stop() as wish:
        while tasks:
            time.sleep(LOOK_SECONDS)
            if wish.asked:
                stop(client, list(tasks.values()), shown)
                done = f"{total - len(tasks)} of {total} batches"
                raise Interrupted(f"interrupted with {done} trained; grokdyn resume {path}, also with --cluster")
            if client.status != "running" or any(task.status == "cancelled" for task in tasks.values()):
                raise ClusterError(f"cluster: the scheduler is gone; grokdyn resume {path}, also with --cluster")
            for batch in [batch for batch, task in tasks.items() if task.done()]:
                task = tasks.pop(batch)
                if task.status == "error":
                    failed[batch] = reason(client, task, tasks)
                else:
                    shown.advance(costs[batch])
            told.look()
    return failed


def reason(client: Client, task: Future, others: dict[int, Future]) -> str:
    """Return why a task failed.

    Raises:
        StoreError: if it is something that no other worker could do better; then the other tasks end.
    """
    error = task.exception()
    if isinstance(error, StoreError):
        client.cancel(list(others.values()))
        raise error
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def stop(client: Client, tasks: list[Future], shown: Reporter) -> None:
    """Take back what waits, and give workers time to save what they train."""
    from grokdyn.engine.machines import worker

    shown.say("stopping; workers save the batches they train")
    until, keys = time.monotonic() + SAVE_SECONDS, [task.key for task in tasks]
    # Where the scheduler was stopped at the same time, its workers leave by themselves.
    with contextlib.suppress(OSError):
        client.cancel(tasks)
        while any(cast(dict, client.run(worker.busy, keys, on_error="ignore")).values()) and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)


class Crowd:
    """Tells how many workers there are, when that changes."""

    def __init__(self, client: Client, shown: Reporter):
        self.client, self.shown = client, shown
        self.looked, self.count = 0.0, -1

    def look(self) -> None:
        if time.monotonic() - self.looked < PATIENCE:
            return
        self.looked = time.monotonic()
        count = len(self.client.scheduler_info(n_workers=-1)["workers"])
        if count != self.count:
            self.shown.say(f"{count} workers" if count else "no workers; waiting for some to join")
        self.count = count
