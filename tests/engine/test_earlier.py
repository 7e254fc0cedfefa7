"""Stores that an earlier version wrote: opened, gone on with, forked.

The archive holds a finished store of four runs with snapshots, a fork of one of them, and a store cut off at step 10,
written before a state's leaves had names.
"""

import tarfile
from pathlib import Path

import numpy as np
import pytest

import grokdyn as gd

ARCHIVE = Path(__file__).with_name("data") / "stores_of_schema_1.tar.gz"


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("earlier")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder / "stores"


def test_an_earlier_store_is_opened_and_its_states_are_read(stores):
    found = gd.open(stores / "finished")
    assert found.sizes["weight_decay"] == found.sizes["seed"] == 2
    assert (found.status == 0).all()
    params = gd.params(stores / "finished", run={"weight_decay": 1.0, "seed": 0}, step=10)
    assert {name: w.shape for name, w in params.items()} == {"W_0": (14, 4), "W_1": (4, 7)}
    np.testing.assert_allclose(
        np.sqrt(sum((w.astype(np.float64) ** 2).sum() for w in params.values())),
        gd.probe(stores / "finished", ["weight_norm"], anyway=True).weight_norm.sel(weight_decay=1.0, seed=0, step=10),
        rtol=1e-6,
    )


def test_an_earlier_store_that_was_cut_off_goes_on(stores):
    assert (gd.open(stores / "cut").status == -1).all()
    with pytest.raises(gd.StoreError, match="cannot resume"):
        gd.resume(stores / "cut", progress=False)
    found, whole = gd.resume(stores / "cut", progress=False, anyway=True), gd.open(stores / "finished")
    np.testing.assert_allclose(found.train_loss, whole.train_loss, rtol=1e-4)


def test_an_earlier_store_is_forked_and_pruned(stores, tmp_path):
    whole, fork = gd.open(stores / "finished"), gd.open(stores / "fork")
    found = gd.fork(stores / "finished", out=tmp_path / "all", anyway=True, progress=False)
    np.testing.assert_allclose(found.train_loss, whole.train_loss.sel(step=[10, 20]), rtol=1e-4)
    np.testing.assert_allclose(fork.train_loss.sel(weight_decay=0.0), whole.train_loss[0, 1, 1:], rtol=1e-4)
    gd.fork(stores / "finished", apply=gd.Prune(keep=0.5), out=tmp_path / "pruned", anyway=True, progress=False)
    assert sum(mask.sum() for mask in gd.masks(tmp_path / "pruned", 2).values()) == 42
    change = {"optimizer.learning_rate": 0.02}
    assert gd.fork(stores / "fork", 1, 10, change, anyway=True, progress=False).sizes["step"] == 2
