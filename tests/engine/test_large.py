"""Results that are large: written in pieces and read when they are asked for, they are the same."""

import shutil

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import grokdyn as gd
from grokdyn.engine import run as engine_run
from grokdyn.engine.plan import cohorts as plan
from grokdyn.engine.store import asked, lazy, packed, reading
from grokdyn.engine.store import folder as store
from tests import cases

# Two structures, so that parts differ in their tensors, and runs of a batch that do not follow each other.
SWEEP = gd.Sweep(
    cases.tiny(steps=6, record=gd.Every(2), probes=("loss", "accuracy", "weight_norm")),
    {"task.train_fraction": [0.6, 0.3, 0.5], "model.hidden": [(4,), (4, 4)], "seed": [3, 4]},
)


@pytest.fixture(scope="module", autouse=True)
def small_batches():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "MOST_LANES", 2)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("stores") / "s"
    return out, gd.run(SWEEP, out=out, progress=False)


@pytest.fixture
def large(monkeypatch):
    """Let everything but a few numbers be large."""
    monkeypatch.setattr(lazy, "LOADED_BYTES", 200)
    monkeypatch.setattr(packed, "LOADED_BYTES", 200)
    monkeypatch.setattr(packed, "CHUNK_BYTES", 80)


def unfinished(tmp_path, monkeypatch):
    """Return a store whose process ended before it could write its results."""

    def end(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store, "finish", end)
        with pytest.raises(KeyboardInterrupt):
            gd.run(SWEEP, out=tmp_path / "u", progress=False)
    return tmp_path / "u"


def test_large_results_are_written_in_pieces_and_equal(whole, large, tmp_path):
    found = gd.run(SWEEP, out=tmp_path / "s", progress=False)
    assert not lazy.in_memory(found)
    assert len(list((tmp_path / "s/results.zarr/weight_norm_per_tensor").rglob("c/*/*/*/*/*"))) > 3
    xr.testing.assert_identical(found, gd.open(tmp_path / "s"))
    xr.testing.assert_identical(found.load(), whole[1])
    assert list(found) == list(gd.open(whole[0]))
    for name, variable in whole[1].variables.items():
        assert found[name].dtype == variable.dtype
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == sorted(path.name for path in whole[0].iterdir())


def test_what_an_earlier_process_wrote_at_once_is_read_lazily(whole, large):
    found = gd.open(whole[0])
    assert not lazy.in_memory(found)
    xr.testing.assert_identical(found, whole[1])
    xr.testing.assert_identical(found.isel(seed=1, step=[0, 2]), whole[1].isel(seed=1, step=[0, 2]))
    xr.testing.assert_identical(gd.analysis.final(found), gd.analysis.final(whole[1]))
    xr.testing.assert_identical(gd.analysis.phases(found), gd.analysis.phases(whole[1]))
    gd.plot.curves(found.isel(hidden=0))


def test_an_unfinished_store_is_read_lazily_and_resumed(whole, large, tmp_path, monkeypatch):
    out = unfinished(tmp_path, monkeypatch)
    found = gd.open(out)
    assert not lazy.in_memory(found)
    xr.testing.assert_identical(found, whole[1])
    xr.testing.assert_identical(found.isel(seed=0, train_fraction=[2, 0]), whole[1].isel(seed=0, train_fraction=[2, 0]))
    xr.testing.assert_identical(gd.resume(out, progress=False), whole[1])
    with pytest.raises(gd.StoreError, match="has been finished since it was opened; open it again"):
        found.train_loss.load()


def test_results_that_were_replaced_or_damaged_are_not_read_as_nothing(whole, large, tmp_path):
    copy = shutil.copytree(whole[0], tmp_path / "c")
    found = gd.open(copy)
    for file in (copy / "results.zarr/train_loss/c").rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[:-9] + b"wrong" + file.read_bytes()[-4:])
    with pytest.raises(gd.StoreError, match=r"results\.zarr' has become damaged"):
        found.train_loss.load()
    shutil.rmtree(copy)
    with pytest.raises(gd.StoreError, match=r"results\.zarr'"):
        found.test_loss.load()


def test_info_tells_of_large_results_without_reading_them(whole, large, monkeypatch, capsys):
    from grokdyn.terminal import describe

    found = gd.open(whole[0])
    monkeypatch.setattr(asked.Asked, "__getitem__", lambda *_: pytest.fail("read"))
    describe(found, reading.read_manifest(whole[0]))
    assert "12 done" in capsys.readouterr().out


def test_results_in_memory_that_could_not_be_held_are_refused_with_what_to_do(monkeypatch):
    monkeypatch.setattr(engine_run, "available", lambda: 1000)
    with pytest.raises(gd.SpecError, match=r"out: got nothing; allowed: a folder, where results of .* MiB in memory"):
        gd.run(SWEEP, progress=False)


SIZES = st.lists(st.integers(1, 7), max_size=5)


@settings(deadline=None, derandomize=True)
@given(SIZES, st.integers(1, 60), st.integers(1, 200))
def test_blocks_are_whole_chunks_of_runs_that_follow_each_other(shape, chunk_numbers, block_numbers):
    chunks = packed.chunk_shape(shape, chunk_numbers)
    blocks = packed.block_shape(shape, chunks, block_numbers)
    assert np.prod(chunks) <= chunk_numbers
    assert np.prod(blocks) <= max(block_numbers, np.prod(chunks))
    numbers, seen = np.arange(np.prod(shape, dtype=int)).reshape(shape), []
    for region in packed.regions(shape, blocks):
        there = numbers[region].ravel()
        np.testing.assert_array_equal(there, there[0] + np.arange(len(there)))
        assert all(part.start % chunk == 0 for part, chunk in zip(region, chunks, strict=True))
        seen += there.tolist()
    assert sorted(seen) == numbers.ravel().tolist()
