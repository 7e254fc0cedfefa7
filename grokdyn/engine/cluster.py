"""A sweep on a dask cluster: every batch is a task that any worker can do, go on with, or do again.

Only numbers of batches go through the scheduler; states and results go through the store, which all machines see.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import xarray as xr

from grokdyn.engine import store
from grokdyn.engine.connect import ClusterError, connected, workers
from grokdyn.engine.files import StoreError
from grokdyn.engine.interrupt import Interrupted, wish_to_stop
from grokdyn.engine.progress import PATIENCE, Reporter, reporter
from grokdyn.engine.run import CHECKPOINT_SECONDS, collect
from grokdyn.engine.shard import BATCHES_EACH, unfinished, untrained
from grokdyn.spec.errors import SpecError, Words
from grokdyn.spec.paths import place_of
from grokdyn.spec.sweep import Sweep
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


def run_on(
    cluster: str | Path | Client,
    sweep: Sweep,
    out: str | Path | None,
    start: Start | None = None,
    progress: bool | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> xr.Dataset:
    """Train a sweep on a cluster, into a store that all its machines see; the rest is as in ``run``.

    Raises:
        ClusterError: if the cluster does not answer, goes away, or cannot train a batch; ``resume`` goes on.
    """
    if out is None:
        raise SpecError("out", Words("nothing"), "with a cluster: a folder that all its machines see")
    path = place_of(out, "out")
    store.check_free(path)
    with connected(cluster) as client:
        from grokdyn.engine import worker

        batches = BATCHES_EACH * len(workers(client))
        client.submit(worker.prepare, sweep, str(path), start, batches, pure=False).result()
        if not seen(lambda: (path / "spec.toml").is_file()):
            raise StoreError(f"out: a worker's {str(path)!r} is not seen here; allowed: a folder that all machines see")
        train(client, path, progress, False, checkpoint_seconds)
    return collect(path)


def resume_on(
    cluster: str | Path | Client,
    path: str | Path,
    progress: bool | None = None,
    anyway: bool = False,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> xr.Dataset:
    """Go on with an interrupted sweep on a cluster, whatever it began on; the rest is as in ``resume``."""
    path = place_of(path)
    store.read_spec(path, anyway, edited=True)
    if untrained(path):
        with connected(cluster) as client:
            workers(client)
            train(client, path, progress, anyway, checkpoint_seconds)
    return collect(path)


def seen(there: Callable[[], bool]) -> bool:
    """Return whether something written elsewhere is there, soon."""
    until = time.monotonic() + SEEN_SECONDS
    while not there() and time.monotonic() < until:
        time.sleep(LOOK_SECONDS)
    return there()


def train(client: Client, path: Path, progress: bool | None, anyway: bool, checkpoint_seconds: float) -> None:
    """Have the unfinished batches of a store trained."""
    from grokdyn.engine import worker

    known, todo, name = store.read_manifest(path, anyway), unfinished(path), f"grokdyn-{uuid.uuid4().hex[:8]}"
    costs, needs = run_steps(known), placement(client, known)
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


def run_steps(known: dict[str, Any]) -> list[int]:
    """Return the updates of every batch, from a manifest."""
    found = []
    for cohort in known["cohorts"]:
        runs, width = cohort["runs"], cohort["runs_per_batch"]
        found += [min(width, runs - first) * cohort["steps"] for first in range(0, runs, width)]
    return found


def placement(client: Client, known: dict[str, Any]) -> list[dict[str, float] | None]:
    """Return for every batch the resources it needs: memory, if there are workers that declare theirs.

    The need is an estimate. A batch that is larger than every worker is tried on the largest.
    """
    most = max(each.get("resources", {}).get("MEMORY", 0) for each in workers(client))
    needs = known.get("bytes_per_batch", [0] * len(known["cohorts"]))
    each = [{"MEMORY": min(need, most)} if most else None for need in needs]
    return [need for need, cohort in zip(each, known["cohorts"], strict=True) for _ in range(cohort["batches"])]


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
            if client.status != "running" or any(task.status in ("cancelled", "lost") for task in tasks.values()):
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
    from grokdyn.engine import worker

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
