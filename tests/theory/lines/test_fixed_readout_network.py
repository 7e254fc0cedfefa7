"""The dual of a network with a fixed readout is the run itself, to float64."""

import numpy as np
import pytest

import grokdyn as gd
from grokdyn.spec.errors import SpecError

STEPS = (7, 0, 20)


def clusters(**changes):
    found = gd.Experiment(
        task=gd.XorClusters(
            dimension=30, points=60, train_points=25, mean_norm=4.0, label_noise=0.1, noise="wrong", reduced=False
        ),
        model=gd.FixedReadout(width=12, init_scale=0.1),
        loss=gd.CrossEntropy(precision="float64"),
        optimizer=gd.SGD(learning_rate=0.05),
        steps=20,
        record=gd.At((0, 7, 20)),
        dtype="float64",
    )
    return found.replace(**changes)


def test_a_run_in_float64_is_its_dual():
    sweep = gd.Sweep(clusters(), {"optimizer.learning_rate": (0.02, 0.3), "seed": (1, 2)})
    runs, told = gd.run(sweep, progress=False), gd.theory.of(sweep, STEPS)
    assert set(told.data_vars) == {"train_loss", "test_loss", "train_accuracy", "test_accuracy"}
    for name in told.data_vars:
        mean = runs[name].mean("seed").sel(step=list(STEPS))
        np.testing.assert_allclose(told[name].transpose(*mean.dims), mean, rtol=1e-9, err_msg=name)
    assert float(abs(told.train_loss.diff("step")).min()) > 1e-3  # it learned


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model.activation": "square"}, "model.activation"),
        ({"optimizer.weight_decay": 0.1}, "optimizer.weight_decay"),
        (
            {"task": gd.ModularArithmetic(op="add", p=5), "dtype": "float32"},
            "task: got '5 outputs'; allowed: two classes",
        ),
    ],
)
def test_the_assumption_that_fails_is_named(changes, words):
    with pytest.raises(SpecError, match=words):
        gd.theory.of(clusters(**changes), STEPS)
