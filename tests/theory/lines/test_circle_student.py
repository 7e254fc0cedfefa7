"""A linear student of harmonics follows its line, whatever the start, momentum or decay."""

import numpy as np
import pytest

import grokdyn as gd

STEPS = (0, 1, 4, 15, 40)
BASE = gd.Experiment(
    task=gd.Harmonics(points=9, frequencies=7, noise_std=0.5),
    model=gd.MLP(hidden=(), init="ntk", init_scale=0.8, output_scale=2.0, rescaled=True),
    loss=gd.MSE(),
    optimizer=gd.SGD(learning_rate=2.0, momentum=0.4),
    steps=40,
    record=gd.At(STEPS),
    probes=("loss",),
)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "loss": gd.MSE(reduction="sum"),
            "model.init_scale": 0.0,
            "optimizer": gd.SGD(learning_rate=0.3, weight_decay=0.6),
        },
    ],
    ids=("a start", "decay"),
)
def test_runs_follow_the_line(changes):
    """Means over 256 seeds within 3.5 standard errors at every record."""
    sweep = gd.Sweep(BASE.replace(**changes), {"seed": range(256)})
    runs, told = gd.run(sweep, progress=False), gd.theory.of(sweep, STEPS)
    assert told.attrs["source"] == "Velikanov et al. 2024"
    for name in ("train_loss", "test_loss"):
        error = runs[name].std("seed", ddof=1) / 16
        assert float((abs(runs[name].mean("seed") - told[name]) / error).max()) < 3.5, name
    assert np.ptp(told.test_loss.values) > 1


def test_a_start_under_decay_is_refused():
    with pytest.raises(gd.SpecError, match=r"init_scale: got 0\.8; allowed: 0\.0"):
        gd.theory.of(BASE.replace(**{"optimizer.weight_decay": 0.1}), STEPS)
