"""What whole sweeps must show, with their spread."""

import numpy as np
import pytest

import grokdyn as gd
from grokdyn.commands import QUICKSTART
from tests.parity.test_mlp import doshi

pytestmark = pytest.mark.as_users


SHARES = [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
GIVE = 0.15  # two seeds on the boundary of a phase
# Weight decay, train fractions -> between which the mean test accuracy over seeds is.
EXPECTED = [
    (0, [0.2, 0.3, 0.4, 0.5, 0.6], 0, 0.4 + GIVE),
    (0, [0.7, 0.8, 0.9], 0.95, 1),
    (1, [0.3], 0, 0.1 + GIVE),
    (1, [0.5, 0.6, 0.7, 0.8, 0.9], 0.95, 1),
    (5, [0.3], 0.4 - GIVE, 0.9 + GIVE),
    (5, [0.4, 0.5, 0.6, 0.7, 0.8, 0.9], 0.95, 1),
    (10, [0.2], 0, 0.1 + GIVE),
    (10, [0.5, 0.6, 0.7, 0.8, 0.9], 0.8, 1),
    (20, SHARES, 0, 0.1),
]


@pytest.mark.parametrize(
    ("decays", "shares", "seeds"),
    [([1, 5, 20], [0.2, 0.3, 0.4, 0.6, 0.9], 1), pytest.param([0, 1, 5, 10, 20], SHARES, 2, marks=pytest.mark.slow)],
    ids=str,
)
def test_quickstart_generalises_where_it_should_and_shows_all_four_phases(decays, shares, seeds):
    overrides = {
        "sweep.optimizer.weight_decay": [float(decay) for decay in decays],
        "sweep.task.train_fraction": shares,
        "sweep.seed": list(range(seeds)),
    }
    quickstart = gd.run(gd.load(QUICKSTART, overrides=overrides), progress=False)
    assert set(np.unique(gd.analysis.phases(quickstart).phase)) == {0, 1, 2, 3}
    assert (quickstart.status == 0).all()
    final = quickstart.test_accuracy.isel(step=-1).mean("seed")
    for decay, fractions, low, high in EXPECTED:
        if decay in decays:
            found = final.sel(weight_decay=decay, train_fraction=[x for x in fractions if x in shares])
            assert ((low <= found) & (found <= high)).all(), (decay, fractions, found.values)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [4, 32])
def test_doshi_clean_generalises_between_steps_30_and_36(seeds):
    sweep = gd.Sweep(doshi(5.0, steps=50).replace(record=gd.At(tuple(range(20, 51)))), {"seed": range(seeds)})
    ds = gd.run(sweep, progress=False)
    half = gd.analysis.first_step(ds, "test_accuracy", 0.5, ">").first_step
    assert 30 <= float(half.median()) <= 36
    assert (ds.test_accuracy.sel(step=50) == 1).all()
