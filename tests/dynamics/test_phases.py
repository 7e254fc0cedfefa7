"""What whole sweeps must show, with their spread."""

import numpy as np
import pytest

import grokdyn as gd
from grokdyn.commands import QUICKSTART
from tests.parity.test_mlp import doshi

pytestmark = pytest.mark.as_users


# What is said below is of these decays; the others are trained before a release.
DECAYS = [0.0, 1.0, 5.0, 10.0, 20.0]


@pytest.mark.parametrize(
    "overrides",
    [{"sweep.optimizer.weight_decay": DECAYS}, pytest.param({}, marks=pytest.mark.slow)],
    ids=["five decays", "all of it"],
)
def test_quickstart_generalises_where_it_should_and_shows_all_four_phases(overrides):
    quickstart = gd.run(gd.load(QUICKSTART, overrides=overrides), progress=False)
    assert set(np.unique(gd.analysis.phases(quickstart).phase)) == {0, 1, 2, 3}
    assert (quickstart.status == 0).all()
    final = quickstart.test_accuracy.isel(step=-1).mean("seed")
    give = 0.15  # two seeds on the boundary of a phase

    def at(weight_decay, fractions):
        return final.sel(weight_decay=weight_decay).sel(train_fraction=fractions, method="nearest")

    assert (at(0, [0.2, 0.3, 0.4, 0.5, 0.6]) < 0.4 + give).all()
    assert (at(0, [0.7, 0.8, 0.9]) > 0.95).all()
    assert (at(1, [0.3]) < 0.1 + give).all()
    assert (at(1, [0.5, 0.6, 0.7, 0.8, 0.9]) > 0.95).all()
    assert (np.abs(at(5, [0.3]) - 0.65) < 0.25 + give).all()
    assert (at(5, [0.4, 0.5, 0.6, 0.7, 0.8, 0.9]) > 0.95).all()
    assert (at(10, [0.2]) < 0.1 + give).all()
    assert (at(10, [0.5, 0.6, 0.7, 0.8, 0.9]) > 0.8).all()
    assert (at(20, np.linspace(0.2, 0.9, 8)) < 0.1).all()


@pytest.mark.parametrize("seeds", [8, pytest.param(32, marks=pytest.mark.slow)])
def test_doshi_clean_generalises_between_steps_30_and_36(seeds):
    sweep = gd.Sweep(doshi(5.0, steps=50).replace(record=gd.At(tuple(range(20, 51)))), {"seed": range(seeds)})
    ds = gd.run(sweep, progress=False)
    half = gd.analysis.first_step(ds, "test_accuracy", 0.5, ">").first_step
    assert 30 <= float(half.median()) <= 36
    assert (ds.test_accuracy.sel(step=50) == 1).all()
