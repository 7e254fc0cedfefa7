"""A sweep on many machines gives the bits of a sweep on one, whoever joins, leaves or dies.

Most tests have the workers as threads of this process, which has compiled the programs already.
"""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import dask
import jax
import numpy as np
import pytest
from distributed import Client, LocalCluster
from distributed.core import Status

import grokdyn as gd
from grokdyn.engine.host.interrupt import Interrupted, Wish
from grokdyn.engine.loop import train
from grokdyn.engine.loop.batch import Batch, Shared
from grokdyn.engine.machines import cluster, connect, here, local, shard, worker
from grokdyn.engine.plan import cohorts as plan
from grokdyn.engine.store import folder as store
from grokdyn.engine.store import pieces, reading
from grokdyn.engine.store.collect import collect
from tests import cases

pytestmark = pytest.mark.as_users

SWEEP = gd.Sweep(
    cases.tiny(steps=60, record=gd.Every(10)),
    {"task.train_fraction": [0.3, 0.5, 0.8], "optimizer.weight_decay": [0.0, 1.0], "seed": range(4)},
)
LONG = gd.Sweep(SWEEP.base.replace(steps=30_000, record=gd.Every(1000)), {"seed": range(8)})
# Of three runs each, as two workers or shards have them: programs of one width compile once for all tests.
BATCHES = 8
HERE = {"processes": False, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "silence_logs": "CRITICAL"}


@pytest.fixture(scope="module")
def whole():
    return gd.run(SWEEP, progress=False)


@contextmanager
def threads(workers=2):
    """Yield a client of a cluster inside this process."""
    with LocalCluster(n_workers=workers, **HERE) as made, Client(made, set_as_default=False) as client:
        yield client


@pytest.fixture
def client():
    with threads() as found:
        yield found


def slowly(monkeypatch, then=lambda count: None, seconds=0.02):
    """Let every chunk take a while; ``then`` is called before each with how many there were."""
    advance, counted = Batch.advance, itertools.count()

    def slow(self):
        then(next(counted))
        time.sleep(seconds)
        advance(self)

    monkeypatch.setattr(Batch, "advance", slow)


def test_a_cluster_gives_the_same_bits(whole, client, tmp_path):
    found = gd.run(SWEEP, out=tmp_path / "s", cluster=client, progress=False)
    assert found.identical(whole)
    assert gd.open(tmp_path / "s").identical(whole)
    assert sorted(p.name for p in (tmp_path / "s").iterdir()) == ["manifest.json", "results.zarr", "spec.toml"]
    manifest = reading.read_manifest(tmp_path / "s")
    assert manifest["cohorts"][0]["batches"] >= 2 * shard.BATCHES_EACH
    assert len(manifest["sessions"]) == manifest["cohorts"][0]["batches"]


# By default tests/engine/test_extend.py, and the other tests here, stand for it.
@pytest.mark.slow
def test_a_store_is_extended_on_a_cluster(client, tmp_path):
    old, new = gd.Sweep(SWEEP.base, {"seed": range(6)}), {"seed": range(6, 24)}
    for place, where in (("here", None), ("there", client)):
        gd.run(old, out=tmp_path / place, cluster=where, progress=False)
    found = [gd.extend(tmp_path / p, new, cluster=c, progress=False) for p, c in (("here", None), ("there", client))]
    assert found[1].identical(found[0])
    assert found[1].sizes["run"] == 24
    assert len(reading.batches(tmp_path / "there")) >= 2 * shard.BATCHES_EACH


def test_a_worker_that_is_told_to_leave_hands_its_batch_on(whole, client, tmp_path, monkeypatch):
    gone = client.cluster.workers[0]
    slowly(monkeypatch, lambda count: gone.loop.add_callback(worker.leave_soon, gone) if count == 20 else None)
    assert gd.run(SWEEP, out=tmp_path / "s", cluster=client, progress=False, checkpoint_seconds=1e9).identical(whole)
    assert gone.status == Status.closed


def test_a_batch_that_fails_is_tried_again(whole, client, tmp_path, monkeypatch):
    def twice(count):
        if count in (3, 4):
            raise RuntimeError("a bad moment")

    slowly(monkeypatch, twice)
    assert gd.run(SWEEP, out=tmp_path / "s", cluster=client, progress=False).identical(whole)


def test_what_fails_for_good_is_told_and_the_rest_is_kept(whole, client, tmp_path, monkeypatch):
    trained = train.train_batch

    def broken(batch, name, *rest):
        if name == "000003":
            raise RuntimeError("cosmic ray")
        return trained(batch, name, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(train, "train_batch", broken)
        with pytest.raises(
            gd.ClusterError, match=r"1 of \d+ batches failed 4 times, batch 4 with: RuntimeError: cosmic"
        ):
            gd.run(SWEEP, out=tmp_path / "s", cluster=client, progress=False)
    assert shard.unfinished(tmp_path / "s") == [3]
    assert gd.resume(tmp_path / "s", progress=False).identical(whole)


def test_what_no_worker_could_do_better_ends_the_sweep(client, tmp_path):
    store_path = tmp_path / "s"
    here.create(SWEEP, store_path, batches=BATCHES)
    store.write_manifest(store_path, {**reading.read_manifest(store_path), "jax": "0.0.1"})
    with pytest.raises(gd.StoreError, match=r"cannot resume: jax was 0\.0\.1"):
        gd.resume(store_path, cluster=client, progress=False)
    assert gd.resume(store_path, cluster=client, progress=False, anyway=True).status.size == 24


@pytest.mark.slow  # on a busy machine the signal may find no worker within a batch
def test_ctrl_c_saves_what_is_trained_and_takes_back_the_rest(whole, client, tmp_path, monkeypatch):
    slowly(monkeypatch, lambda count: os.kill(os.getpid(), signal.SIGINT) if count == 30 else None)
    with pytest.raises(Interrupted, match=r"interrupted with \d of 8 batches trained; grokdyn resume"):
        gd.run(SWEEP, out=tmp_path / "s", cluster=client, progress=False, checkpoint_seconds=1e9)
    assert shard.unfinished(tmp_path / "s")
    assert list((tmp_path / "s/checkpoints").glob("*/[0-9]*")), "the batches in training are saved"
    with threads() as other:
        assert gd.resume(tmp_path / "s", cluster=other, progress=False).identical(whole)


def test_a_scheduler_that_dies_leaves_a_store_that_resumes(whole, tmp_path, monkeypatch):
    impatient = dask.config.set({"distributed.comm.timeouts.connect": "1s"})
    with impatient, monkeypatch.context() as patch, threads() as client:
        made = client.cluster
        slowly(patch, lambda count: made.loop.add_callback(made.scheduler.close) if count == 30 else None)
        with pytest.raises(gd.ClusterError, match="the scheduler is gone; grokdyn resume"):
            gd.run(SWEEP, out=tmp_path / "s", cluster=client, progress=False)
    assert gd.resume(tmp_path / "s", progress=False).identical(whole)


def test_ctrl_c_with_the_scheduler_gone_is_told_alike(whole, tmp_path, monkeypatch):
    """As when a job's time is over and all its processes are told at once."""
    impatient = dask.config.set({"distributed.comm.timeouts.connect": "1s"})
    with impatient, monkeypatch.context() as patch, threads() as client:
        made = client.cluster

        def end(count):
            if count == 30:
                made.loop.add_callback(made.scheduler.close)
                os.kill(os.getpid(), signal.SIGINT)

        slowly(patch, end)
        with pytest.raises((Interrupted, gd.ClusterError), match="grokdyn resume"):
            gd.run(SWEEP, out=tmp_path / "s", cluster=client, progress=False)
    assert gd.resume(tmp_path / "s", progress=False).identical(whole)


def test_batches_are_placed_where_memory_is(whole, tmp_path, client):
    cohorts = [{"batches": n, "runs": 2 * n, "runs_per_batch": 2, "steps": 5} for n in (2, 1)]
    known = {"cohorts": cohorts, "bytes_per_batch": [10, 10**12]}
    assert cluster.placement(client, known) == [None, None, None]
    made = LocalCluster(n_workers=1, resources={"MEMORY": 100}, **HERE)
    with made, Client(made, set_as_default=False) as other:
        assert cluster.placement(other, known) == [{"MEMORY": 10}, {"MEMORY": 10}, {"MEMORY": 100}]
        here.create(SWEEP, tmp_path / "s", batches=BATCHES)
        assert gd.resume(tmp_path / "s", cluster=other, progress=False).identical(whole)


def test_shards_one_after_the_other_and_all_at_once(whole, tmp_path):
    here.create(SWEEP, tmp_path / "one", batches=BATCHES)
    one = [shard.run_shard(SWEEP, tmp_path / "one", shard.Shard(i, 3), progress=False) for i in (1, 2, 3)]
    assert one[:2] == [None, None]
    assert one[2].identical(whole)
    again = shard.run_shard(SWEEP, tmp_path / "one", shard.Shard(1, 3), progress=False)
    assert again.identical(whole), "a shard that is queued again finds everything done"
    with ThreadPoolExecutor(2) as pool:
        shards = [shard.Shard(1, 2), shard.Shard(2, 2)]
        found = list(pool.map(lambda each: shard.run_shard(SWEEP, tmp_path / "all", each, progress=False), shards))
    assert any(ds is not None for ds in found)
    assert all(ds is None or ds.identical(whole) for ds in found)
    assert gd.open(tmp_path / "all").identical(whole)


def test_a_shard_does_not_join_another_sweep(tmp_path):
    here.create(SWEEP, tmp_path / "s")
    with pytest.raises(gd.StoreError, match="holds another sweep"):
        shard.run_shard(LONG, tmp_path / "s", shard.Shard(1, 2), progress=False)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").write_text("precious")
    with pytest.raises(gd.StoreError, match="is not empty"):
        shard.run_shard(SWEEP, tmp_path / "mine", shard.Shard(1, 2), progress=False)


def test_collecting_in_many_processes_at_once_does_no_harm(whole, tmp_path):
    path = tmp_path / "s"
    here.create(SWEEP, path, batches=BATCHES)
    here.work(path, progress=False)
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: collect(path), range(6)))
    assert all(ds.identical(whole) for ds in found)
    assert reading.read_manifest(path)["finished"]
    assert len(reading.read_manifest(path)["sessions"]) == 1
    assert sorted(p.name for p in path.iterdir()) == ["manifest.json", "results.zarr", "spec.toml"]


def test_a_batch_in_two_processes_at_once_does_no_harm(whole, tmp_path):
    path = tmp_path / "s"
    here.create(SWEEP, path, batches=BATCHES)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: here.work(path, [0], progress=False, checkpoint_seconds=0), range(3)))
    assert gd.resume(path, progress=False).identical(whole)


def test_a_wish_from_outside_saves_the_state(whole, tmp_path):
    path, looks = tmp_path / "s", itertools.count()
    here.create(SWEEP, path, batches=BATCHES)
    wish = Wish(lambda: next(looks) >= 5)
    with pytest.raises(Interrupted):
        here.work(path, progress=False, checkpoint_seconds=1e9, wish=wish)
    assert list((path / "checkpoints/000000").glob("[0-9]*"))
    assert gd.resume(path, progress=False).identical(whole)


def test_a_stored_state_does_not_depend_on_the_number_of_devices():
    with jax.enable_x64(True):
        batches = []
        for count in (1, 2):
            devices = jax.local_devices()[:count]
            cohort = plan.cohorts(list(SWEEP.experiments()), None, devices, batches=BATCHES)[0]
            batches.append(Batch(cohort, cohort.batches[0], Shared.of(cohort, devices)))
        other, trained = batches
        trained.advance()
        trained.advance()
        other.restore(trained.saved())
        for one, two in zip(trained.leaves(), other.leaves(), strict=True):
            np.testing.assert_array_equal(one, two)
        assert trained.part().runs.tolist() == other.part().runs.tolist()
        np.testing.assert_array_equal(trained.part().arrays["train_loss"], other.part().arrays["train_loss"])
        assert len(np.unique(trained.part().arrays["train_loss"][:, 1])) == 3
        assert other.lanes.active.sum() == trained.lanes.active.sum() == 3


def test_workers_here_share_the_machine_without_overlap(monkeypatch):
    assert [local.share([0, 1, 2, 3, 4], i, 2) for i in (0, 1)] == [[0, 1], [2, 3, 4]]
    assert [local.share([0, 1], i, 4) for i in range(4)] == [[0], [1], [0], [1]]
    monkeypatch.setattr(local, "cores", lambda: [2, 3, 6, 7])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    options = [local.options(i, 2) for i in (0, 1)]
    assert [o["env"]["JAX_NUM_CPU_DEVICES"] for o in options] == ["2", "2"]
    assert "[2, 3]" in options[0]["preload"][0]
    assert "[6, 7]" in options[1]["preload"][0]
    assert [o["env"]["CUDA_VISIBLE_DEVICES"] for o in options] == ["1", "1"]
    assert options[0]["env"]["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.375"


@pytest.mark.parametrize("word", ["local", "local:0", "local:x", "local:2000", "tcp://host", "host:80", 3, "", None])
def test_what_names_no_cluster_is_refused(word):
    with pytest.raises(gd.SpecError, match=r"cluster: got .*; allowed: local:N"):
        connect.meant(word)


@pytest.mark.parametrize("kind", [str, Path])
def test_a_scheduler_file_names_its_cluster(kind, tmp_path):
    file = tmp_path / "scheduler.json"
    file.write_text(json.dumps({"address": "tcp://10.0.0.1:8786"}))
    assert connect.meant(kind(file)) == "tcp://10.0.0.1:8786"
    with pytest.raises(gd.SpecError, match=r"scheduler_file: got .*no\.json"):
        connect.meant(kind(tmp_path / "no.json"))


def test_a_cluster_needs_a_folder(tmp_path):
    with pytest.raises(gd.SpecError, match="out: got nothing"):
        gd.run(SWEEP, cluster="local:1")
    (tmp_path / "file").write_text("")
    with pytest.raises(gd.StoreError, match="is not empty"):
        gd.run(SWEEP, out=tmp_path, cluster="local:1")


def when(there, seconds=600):
    """Wait until something is there."""
    until = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < until
        time.sleep(0.05)


def trouble(client, path, seen):
    """Once batches are saved, kill one worker and stop another as its time limit would."""
    when(lambda: len(list((path / "checkpoints").glob("*/[0-9]*"))) >= 2)
    pids = list(client.run(os.getpid).values())
    os.kill(pids[0], signal.SIGKILL)
    time.sleep(1)
    os.kill(pids[1], signal.SIGTERM)
    when(lambda: not alive(pids[1]))
    seen += pids[:2]


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 4])
def test_workers_that_are_killed_and_stopped_cost_nothing_but_time(workers, tmp_path):
    seen = []
    with local.cluster_here(workers) as made, Client(made, set_as_default=False) as client:
        thread = threading.Thread(target=trouble, args=(client, tmp_path / "s", seen))
        thread.start()
        found = gd.run(LONG, out=tmp_path / "s", cluster=client, progress=False, checkpoint_seconds=0.3)
        thread.join()
    assert len(seen) == 2
    assert found.identical(gd.run(LONG, progress=False))
    assert not list(pieces.part_file(tmp_path / "s", 0).parent.glob("*"))


CODE = """
import sys
import grokdyn as gd
if __name__ == "__main__":
    sweep = gd.Sweep.from_toml(open(sys.argv[1]).read())
    gd.run(sweep, out=sys.argv[2], cluster=sys.argv[3], progress=False, checkpoint_seconds=0.3)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_local_cluster_ends_with_its_process_and_its_store_resumes(how, tmp_path):
    (tmp_path / "spec.toml").write_text(LONG.to_toml())
    (tmp_path / "code.py").write_text(CODE)
    command = [sys.executable, "code.py", "spec.toml", "s", "local:2"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    when(lambda: list((tmp_path / "s/checkpoints").glob("*/[0-9]*")))
    workers = children(process.pid)
    assert len(workers) >= 2
    process.send_signal(how)
    assert process.wait(60) != 0
    when(lambda: not any(alive(pid) for pid in workers), 30)
    left = shard.unfinished(tmp_path / "s")
    assert left
    if how == signal.SIGINT:  # in order: every batch in training is saved
        assert list((tmp_path / "s/checkpoints").glob("*/[0-9]*"))
    assert gd.resume(tmp_path / "s", progress=False).identical(gd.run(LONG, progress=False))


def children(pid):
    """Return the processes that a process has started."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=True)
    return [int(word) for word in found.stdout.split()]


@contextmanager
def machines(folder, workers=2, options=()):
    """Start a scheduler and workers as a user does, each a process of its own; yield them and the file to find them."""
    file, told = folder / "scheduler.json", {"cwd": folder, "stderr": subprocess.DEVNULL}
    file.unlink(missing_ok=True)
    common = ["--scheduler-file", file, "--host", "127.0.0.1", "--no-dashboard", "--dashboard-address", "127.0.0.1:0"]

    def started(what, *more):
        return subprocess.Popen([sys.executable, "-m", "dask", what, *common, *more], **told)

    scheduler = started("scheduler", "--port", "0")
    made = [started("worker", "--nthreads", "1", *options) for _ in range(workers)]
    try:
        when(file.exists)
        yield file, scheduler, made
    finally:
        for process in (scheduler, *made):
            process.kill()
            process.wait()


@pytest.mark.slow
def test_a_sweep_goes_on_with_another_scheduler(tmp_path):
    # Long enough that the client misses the scheduler before the workers are through with what they were given.
    longer = gd.Sweep(LONG.base.replace(steps=200_000, record=gd.Every(5000)), LONG.axes)
    with machines(tmp_path) as (file, scheduler, _):
        killer = threading.Thread(
            target=lambda: (when(lambda: pieces.part_file(tmp_path / "s", 0).is_file()), scheduler.kill())
        )
        killer.start()
        with pytest.raises(gd.ClusterError, match="the scheduler is gone"):
            gd.run(longer, out=tmp_path / "s", cluster=file, progress=False, checkpoint_seconds=0.3)
        killer.join()
    assert shard.unfinished(tmp_path / "s")
    with machines(tmp_path) as (file, _, workers):
        # The time limit of the first worker's machine comes as soon as it trains.
        limit = threading.Timer(15, workers[0].terminate)
        limit.start()
        found = gd.resume(tmp_path / "s", cluster=file, progress=False, checkpoint_seconds=0.3)
        limit.cancel()
    assert found.identical(gd.run(longer, progress=False))


SLOWLY = """
import time
from grokdyn.engine.loop.batch import Batch, Shared
if not hasattr(Batch, "quickly"):  # dask loads it twice
    Batch.quickly = Batch.advance
    Batch.advance = lambda self: (time.sleep(0.5), self.quickly())
"""


@pytest.mark.slow
def test_workers_that_end_after_their_lifetime_hand_their_batches_on(tmp_path):
    """As on a site where jobs may run for a while only: every worker saves, leaves, and another takes its place."""
    (tmp_path / "slowly.py").write_text(SLOWLY)
    limited = ("--lifetime", "25 seconds", "--lifetime-restart", "--preload", str(tmp_path / "slowly.py"))
    with machines(tmp_path, options=limited) as (file, _, _):
        found = gd.run(LONG, out=tmp_path / "s", cluster=file, progress=False, checkpoint_seconds=1e9)
    known = reading.read_manifest(tmp_path / "s")
    assert len(known["sessions"]) > known["cohorts"][0]["batches"], "no lifetime ended in the middle of a batch"
    assert found.identical(gd.run(LONG, progress=False))
