"""More runs for a store: their bits, kills at every file that is put in place, others at work, mistakes."""

import os
import shutil

import numpy as np
import pytest

import grokdyn as gd
from grokdyn.cli import main
from grokdyn.engine.loop.batch import Batch
from grokdyn.engine.machines import here
from grokdyn.engine.machines.shard import Shard, run_shard
from grokdyn.engine.store import extension, reading
from tests import cases
from tests.engine.test_interrupted import CutError, cut_after

BASE = cases.tiny(steps=20, record=gd.Every(10), snapshots=(10,))
OLD = [{"optimizer.learning_rate": lr, "seed": s} for lr in (0.01, 0.02) for s in (0, 1)]
NEW = [{"optimizer.learning_rate": 0.03, "seed": s} for s in (0, 1, 2)]


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    path = tmp_path_factory.mktemp("old") / "store"
    gd.run(gd.Points(BASE, OLD), out=path, progress=False)
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """All points in a store from the beginning."""
    return gd.run(gd.Points(BASE, OLD + NEW), out=tmp_path_factory.mktemp("whole") / "store", progress=False)


def same(found, whole):
    for name, values in whole.data_vars.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    assert found.coords.identical(whole.coords)


@pytest.fixture
def store(old, tmp_path):
    return shutil.copytree(old, tmp_path / "s")


def test_an_extended_store_is_one_of_all_points_and_trains_only_the_new(store, whole, monkeypatch):
    trained, begin = [], Batch.__init__

    def noted(self, cohort, lanes, shared, **how):
        begin(self, cohort, lanes, shared, **how)
        trained.append(self.size)

    monkeypatch.setattr(Batch, "__init__", noted)
    same(gd.extend(store, NEW, progress=False), whole)
    assert trained == [3]
    assert gd.open(store).identical(gd.resume(store, progress=False))
    assert sorted(file.name for file in store.iterdir()) == ["manifest.json", "results.zarr", "snapshots", "spec.toml"]
    assert set(gd.params(store, run=6, step=10)) == {"W_0", "W_1"}
    assert gd.probe(store, ["weight_norm"]).sizes["run"] == 7
    again = [{"optimizer.learning_rate": 0.5, "seed": 0}]
    assert gd.extend(store, again, progress=False).sizes["run"] == 8


def test_a_product_becomes_points_of_which_the_grid_can_be_made(tmp_path):
    grid = gd.run(gd.Sweep(BASE, {"seed": [0, 1]}), out=tmp_path / "g", progress=False)
    more = [{"seed": s, "optimizer.weight_decay": 1.0} for s in (0, 1)]
    found = gd.to_grid(gd.extend(tmp_path / "g", more, progress=False), ["weight_decay", "seed"])
    np.testing.assert_array_equal(found.train_loss.sel(weight_decay=0.0), grid.train_loss)
    assert found.status.values.tolist() == [[0, 0], [0, 0]]


class KilledError(BaseException):
    pass


def test_wherever_an_extension_is_cut_off_the_store_has_the_old_runs_or_all(store, whole, tmp_path, monkeypatch):
    moves, replace = [0], os.replace

    def counted(source, place):
        if moves[0] == 0:
            raise KilledError
        moves[0] -= 1
        replace(source, place)

    seen = set()
    for last in range(100):
        path = shutil.copytree(store, tmp_path / str(last))
        moves[0] = last
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", counted)
            patch.setattr(here, "trained", lambda *_: (_ for _ in ()).throw(KilledError))
            with pytest.raises(KilledError):
                gd.extend(path, NEW, progress=False)
        runs = gd.open(path).sizes["run"]
        seen.add((runs, reading.is_finished(path), (path / "extension").is_dir()))
        if last % 4 == 0:  # training costs more than looking
            found = gd.resume(path, progress=False)
            same(found if found.sizes["run"] == 7 else gd.extend(path, NEW, progress=False), whole)
        if moves[0]:  # all files were put in place, and training was begun
            break
    assert {(4, True, False), (4, True, True), (4, False, True), (7, False, True), (7, False, False)} <= seen


def test_a_store_that_is_not_finished_is_extended_and_goes_on(tmp_path, whole):
    path = tmp_path / "s"
    with pytest.MonkeyPatch.context() as patch:
        cut_after(patch, 1)
        with pytest.raises(CutError):
            gd.run(gd.Points(BASE, OLD), out=path, progress=False, checkpoint_seconds=0)
    same(gd.extend(path, NEW, progress=False), whole)


def test_shards_share_an_extended_store(store, whole):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(here, "trained", lambda *_: (_ for _ in ()).throw(KilledError))
        with pytest.raises(KilledError):
            gd.extend(store, NEW, progress=False)
    sweep = reading.read_spec(store)
    for shard in (Shard(1, 2), Shard(2, 2)):
        found = run_shard(sweep, store, shard, progress=False)
    same(found, whole)


def test_who_extends_has_the_store_alone(store):
    with extension.shared(store), pytest.raises(gd.StoreError, match="another process trains or extends it"):
        gd.extend(store, NEW, progress=False)
    with extension.held(store), pytest.raises(gd.StoreError, match="another process trains or extends it"):
        gd.extend(store, NEW, progress=False)
    assert gd.open(store).sizes["run"] == 4


@pytest.mark.parametrize(
    ("points", "told"),
    [
        ([{"seed": 9}], r"points\[0\]\.optimizer.learning_rate: got nothing"),
        ([{"seed": 0, "optimizer.learning_rate": 0.01}], "a second time; allowed: each combination of values once"),
        ([{"seed": 9, "optimizer.learning_rate": -1.0}], r"learning_rate\[4\]: got -1.0"),
        ([], "points: got "),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(store, points, told):
    before = {file: file.stat().st_mtime_ns for file in store.rglob("*")}
    with pytest.raises(gd.SpecError, match=told):
        gd.extend(store, points, progress=False)
    assert {file: file.stat().st_mtime_ns for file in store.rglob("*")} == before


def test_the_command_line_extends_by_axes(store, whole, capsys):
    words = ["extend", str(store), "--add", "optimizer.learning-rate", "[0.03]", "--add", "seed", "[0, 1, 2]"]
    assert main([*words, "--no-figures", "--quiet"]) == 0
    same(gd.open(store), whole)
    assert main([*words, "--quiet"]) == 2
    assert "a second time" in capsys.readouterr().err
