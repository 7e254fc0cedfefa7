"""Kills at random moments of a larger sweep, and a disk that is really full: processes of their own, as users have."""

import itertools
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress

import pytest

import grokdyn as gd
from grokdyn.engine.store import reading
from tests.engine.alike import processes_alike

SPEC = """
steps = 1500
record = {every = 50}
snapshots = [0, 700, 1500]
[task]
kind = "modular"
p = 11
[model]
kind = "mlp"
hidden = [24]
[loss]
kind = "cross_entropy"
[optimizer]
kind = "adamw"
learning_rate = 0.01
[sweep]
"model.activation" = ["relu", "square"]
"optimizer.weight_decay" = [0.0, 1.0]
"task.train_fraction" = [0.5, 0.8]
seed = {range = [0, 32]}
"""
# Several batches to each of the two cohorts.
TRAIN = """
import sys
from grokdyn.engine.machines import here
import grokdyn as gd
from pathlib import Path
path = Path(sys.argv[2])
if not (path / "manifest.json").exists():
    here.create(gd.Sweep.from_toml(Path(sys.argv[1]).read_text()), path, batches=4)
gd.resume(path, checkpoint_seconds=0.1)
"""
KILLS = 30


@pytest.fixture(scope="module", autouse=True)
def alike():
    with processes_alike():
        yield


@pytest.fixture(scope="module")
def sweep():
    return gd.Sweep.from_toml(SPEC)


@pytest.fixture(scope="module")
def whole(sweep):
    return gd.run(sweep, progress=False)


def stage(path):
    """Return how far a store has come, in the words of the sweep's life."""
    if (path / "results.zarr").exists():
        return "after the results"
    if there(path, "results.zarr.*.tmp"):
        return "final write"
    if there(path, "*/*tmp*") or there(path, "checkpoints/*/*tmp*"):
        return "checkpoint"
    if there(path, "parts/*.npz") or there(path, "checkpoints/*/[0-9]*"):
        return "training"
    return "planning and compilation"


def there(path, pattern):
    """Return whether there is such a file; folders come and go meanwhile."""
    with suppress(FileNotFoundError):
        return any(path.glob(pattern))
    return True


def moments(draw):
    """Yield when to kill, in turn: after a random time, and a random moment after a stage is seen."""
    for when in itertools.cycle(["time", "training", "checkpoint", "final write"]):
        yield when, draw.uniform(0, {"time": 12, "training": 2}.get(when, 0.02))


@pytest.mark.slow
def test_thirty_kills_of_a_sweep_of_256_runs_change_no_bit(sweep, whole, tmp_path):
    assert whole.status.size == 256
    draw, seen, sweeps = random.Random(256), Counter(), 0
    (tmp_path / "spec.toml").write_text(sweep.to_toml())
    wanted = moments(draw)
    while seen.total() < KILLS:
        path, sweeps = tmp_path / str(sweeps), sweeps + 1
        while not finished(path):
            when, delay = next(wanted) if seen.total() < KILLS else ("never", 0)
            command = [sys.executable, "-c", TRAIN, str(tmp_path / "spec.toml"), str(path)]
            process, began = subprocess.Popen(command, stderr=subprocess.PIPE, text=True), time.monotonic()
            while process.poll() is None and not (when == "time" and time.monotonic() - began > delay):
                if stage(path) == when:
                    time.sleep(delay)
                    break
                time.sleep(0.002)
            killed = process.poll() is None
            if killed:
                seen[stage(path)] += 1
                process.send_signal(signal.SIGKILL)
            told = process.communicate()[1]
            assert killed or process.returncode == 0, told
        found = gd.open(path)
        assert found.identical(whole)
        assert sorted(p.name for p in path.iterdir()) == ["manifest.json", "results.zarr", "snapshots", "spec.toml"]
    print(dict(seen), "in", sweeps, "sweeps")
    assert {"planning and compilation", "training", "checkpoint", "final write"} <= set(seen)


ACT = """
import shutil, sys
import grokdyn as gd
action, path, text = sys.argv[1:]
print("ready", flush=True)
if action == "run":
    gd.run(gd.Sweep.from_toml(text), out=path, progress=False, checkpoint_seconds=0)
elif action == "probe":
    gd.probe(path, ["weight_norm", "distance_from_init"])
elif action == "fork":
    gd.fork(path, 3, 70, {"optimizer.weight_decay": [0.0, 0.5]}, out=path + "-fork", progress=False)
else:
    gd.resume(path, progress=False, checkpoint_seconds=0)
"""
SMALL = SPEC.replace("1500", "150").replace("700", "70").replace("[0, 32]", "[0, 2]").replace("50}", "5}")
ACTIONS = ("run", "resume", "mend", "probe", "fork")


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Return stores to start from: finished, cut off, damaged."""
    from grokdyn.engine.loop.batch import Batch

    folder, small = tmp_path_factory.mktemp("stores"), gd.Sweep.from_toml(SMALL)
    gd.run(small, out=folder / "probe", progress=False)
    for name in ("fork", "mend"):
        shutil.copytree(folder / "probe", folder / name)
    (folder / "mend/results.zarr/train_loss/c/0/0/0/0/0").unlink()
    next((folder / "mend/snapshots").glob("000001*")).unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Batch, "advance", cut_after(Batch.advance, 2))
        with pytest.raises(KeyboardInterrupt):
            gd.run(small, out=folder / "resume", progress=False, checkpoint_seconds=0)
    return folder


def cut_after(advance, chunks):
    left = itertools.repeat(None, chunks)

    def counted(self):
        if next(left, KeyboardInterrupt) is KeyboardInterrupt:
            raise KeyboardInterrupt
        advance(self)

    return counted


def act(action, path):
    command = [sys.executable, "-c", ACT, action, str(path), SMALL]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def done(action, path):
    """Return what an action finds that is done, or gone on with, after a kill."""
    if action == "probe":
        return gd.probe(path, ["weight_norm", "distance_from_init"])
    if action == "fork":
        out, change = path.with_name(f"{path.name}-fork"), {"optimizer.weight_decay": [0.0, 0.5]}
        return gd.resume(out, progress=False) if out.exists() else gd.fork(path, 3, 70, change, out=out, progress=False)
    if path.exists():
        return gd.resume(path, progress=False)
    return gd.run(gd.Sweep.from_toml(SMALL), out=path, progress=False)


def test_a_kill_in_each_command_changes_nothing(stores, tmp_path):
    kill_each(stores, tmp_path, random.Random(7), ["mend"])


@pytest.mark.slow
def test_thirty_kills_of_every_command_change_nothing(stores, tmp_path):
    kill_each(stores, tmp_path, random.Random(30), ACTIONS * (KILLS // len(ACTIONS)))


def kill_each(stores, tmp_path, draw, actions):
    """Kill a process at each action, at a random moment of it, do it again, and compare with one never killed."""
    before, long = gd.open(stores / "probe"), {}
    for number, action in enumerate(actions):
        path = tmp_path / f"{number}-{action}"
        if action not in long:
            whole = tmp_path / action
            if action != "run":
                shutil.copytree(stores / action, whole)
            began = time.monotonic()
            expected = done(action, whole)
            long[action] = (time.monotonic() - began, expected)
        while True:
            shutil.rmtree(path, ignore_errors=True)
            shutil.rmtree(path.with_name(f"{path.name}-fork"), ignore_errors=True)
            if action != "run":
                shutil.copytree(stores / action, path)
            process = act(action, path)
            time.sleep(draw.uniform(0, 1.5 * long[action][0]))
            killed = process.poll() is None
            process.kill()
            process.communicate()
            if killed:
                break
        assert done(action, path).identical(long[action][1]), action
        assert gd.open(path).identical(before), action
        assert files(path) == files(stores / "probe") | probed(path), action


def probed(path):
    return {name for name in files(path) if name.startswith("probes")}


def files(path):
    """Return the names of all files of a store, but those of one that was left half way, which are removed."""
    return {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}


def finished(path):
    return (path / "manifest.json").exists() and reading.is_finished(path)


@pytest.fixture
def small_disk(tmp_path):
    """Return a folder on a file system of its own, whose size in KiB can be set."""

    def size(kib, *more):
        return subprocess.run(["mount", "-t", "tmpfs", *more, "-o", f"size={kib}k", "tmpfs", place]).returncode == 0

    place = tmp_path / "disk"
    place.mkdir()
    if not size(64):
        pytest.skip("mounting a file system takes a privilege")
    yield place, lambda kib: subprocess.run(["mount", "-o", f"remount,size={kib}k", place], check=True)
    subprocess.run(["umount", place], check=True)


@pytest.mark.slow
def test_a_disk_that_is_full_is_told_in_a_line_and_room_is_all_that_it_takes(sweep, whole, small_disk, tmp_path):
    disk, resize = small_disk
    (tmp_path / "spec.toml").write_text(sweep.to_toml())
    path, told, kib = disk / "store", [], 16
    resize(kib)
    while True:
        begun = (path / "manifest.json").exists()
        known = len(list(path.glob("parts/*.npz")))
        words = ["resume", str(path)] if begun else ["run", str(tmp_path / "spec.toml"), "--out", str(path)]
        done = subprocess.run([sys.executable, "-m", "grokdyn", *words], capture_output=True, text=True)
        if done.returncode == 0:
            break
        line = done.stderr.strip().splitlines()[-1]
        assert "No space left on device" in line or "is on a disk too small for results" in line
        assert "Traceback" not in done.stderr
        assert len(list(path.glob("parts/*.npz"))) >= known, "nothing that is finished is lost"
        told.append(line)
        kib *= 2
        assert kib < 2**17
        resize(kib)
    assert len(told) >= 3, "full before the store was made, in its checkpoints or parts, and in its results"
    assert gd.open(path).identical(whole)
