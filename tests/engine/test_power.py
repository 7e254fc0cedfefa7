"""The power fails around the end of a sweep, or while a store is mended: nothing that was finished is lost."""

import random
import shutil
from pathlib import Path

import pytest

import grokdyn as gd
from grokdyn.engine import run as engine_run
from grokdyn.engine.loop import train
from grokdyn.engine.loop.batch import Batch
from grokdyn.engine.plan import cohorts as plan
from grokdyn.engine.store import folder as store
from grokdyn.engine.store.collect import collect
from tests import cases
from tests.engine.disk import Disk

SWEEP = gd.Sweep(cases.tiny(steps=3, record=gd.Every(1), snapshots=(2,)), {"seed": [3, 4, 5, 6]})
MOMENTS = 20

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="looks at open files by their number")


@pytest.fixture(scope="module", autouse=True)
def two_batches():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "MOST_LANES", 2)
        yield


@pytest.fixture(scope="module")
def whole():
    return gd.run(SWEEP, progress=False)


def spread(moments):
    """Return moments spread over all there are, the last among them: all that the process did."""
    return sorted({round(i * (len(moments) - 1) / (MOMENTS - 1)) for i in range(MOMENTS)})


def ways(moment):
    """Return what may be on the disk of what was not synced: nothing, the names alone, or whatever."""
    return [{"draw": None}, {"draw": None, "names": True}, {"draw": random.Random(moment)}][moment % 3]


@pytest.fixture
def no_training(monkeypatch):
    """Let nothing be trained again: what was finished has to be there."""
    return lambda: monkeypatch.setattr(Batch, "advance", lambda self: pytest.fail("trained again"))


def test_what_was_finished_is_there_when_the_power_fails_around_the_end(tmp_path, whole, monkeypatch, no_training):
    disk = tmp_path / "disk"
    disk.mkdir()
    with monkeypatch.context() as patch:
        watched = Disk(disk, patch)

        def watching(path):
            watched.watching = True
            return collect(path)

        patch.setattr(engine_run, "collect", watching)
        gd.run(SWEEP, out=disk / "deep/store", progress=False)
        watched.note("the end")
    no_training()
    assert len(watched.moments) > MOMENTS
    for moment in spread(watched.moments):
        place = tmp_path / str(moment)
        watched.after_failure(moment, place, **ways(moment))
        store_then, told = place / "deep/store", watched.moments[moment][0]
        assert gd.open(store_then, anyway=False).train_loss.identical(whole.train_loss), told
        assert gd.resume(store_then, progress=False).identical(whole), told
        assert gd.open(store_then).identical(whole)
        assert len(list(store_then.glob("snapshots/*.npz"))) == 2
        assert not [p for p in store_then.iterdir() if p.name not in (*store.KEPT, *FINISHED)]


FINISHED = ("manifest.json", "results.zarr", "spec.toml")


def test_what_is_whole_survives_when_the_power_fails_while_a_store_is_mended(tmp_path, whole, monkeypatch):
    disk = tmp_path / "disk"
    disk.mkdir()
    gd.run(SWEEP, out=disk / "store", progress=False)
    for snapshot in (disk / "store/snapshots").glob("000001*"):
        snapshot.unlink()
    with monkeypatch.context() as patch:
        watched = Disk(disk, patch)
        watched.watching = True
        gd.resume(disk / "store", progress=False)
        watched.note("the end")
    trained, train_batch = set(), train.train_batch

    def noted(batch, name, *rest):
        trained.add(name)
        return train_batch(batch, name, *rest)

    monkeypatch.setattr(train, "train_batch", noted)
    for moment in spread(watched.moments)[::4]:
        place = tmp_path / str(moment)
        watched.after_failure(moment, place, **ways(moment))
        assert gd.resume(place / "store", progress=False).identical(whole), watched.moments[moment][0]
        shutil.rmtree(place)
    assert trained <= {"000001"}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_no_moment_of_a_sweep_leaves_other_numbers(tmp_path, whole, monkeypatch, seed):
    disk, draw = tmp_path / "disk", random.Random(seed)
    disk.mkdir()
    with monkeypatch.context() as patch:
        watched = Disk(disk, patch)
        watched.watching = True
        gd.run(SWEEP, out=disk / "store", progress=False, checkpoint_seconds=0)
    for moment in sorted(draw.sample(range(len(watched.moments)), 40)):
        place = tmp_path / str(moment)
        watched.after_failure(moment, place, draw)
        if (place / "store").exists():
            assert gd.resume(place / "store", progress=False).identical(whole), watched.moments[moment][0]
