"""MLP runs follow independent PyTorch code from the same parameters, split and labels."""

import numpy as np
import pytest

import grokdyn as gd
from tests.parity.trajectories import LOOKS, assert_follows, load

pytestmark = pytest.mark.as_users


def edge(steps=50, **changes):
    return gd.Experiment(
        task=gd.ModularArithmetic(op="add", p=113, train_fraction=0.4),
        model=gd.MLP(hidden=(200, 200), activation="relu", bias=False, init="torch"),
        loss=gd.CrossEntropy(precision="float32"),
        optimizer=gd.AdamW(learning_rate=0.01, b2=0.99, eps=1e-25, weight_decay=0.0),
        steps=steps,
        record=gd.At(LOOKS),
        probes=(gd.Loss(), gd.Accuracy(), gd.WeightNorm()),
    ).replace(**changes)


def doshi(weight_decay, steps):
    return gd.Experiment(
        task=gd.ModularArithmetic(op="add", p=97, train_fraction=0.5),
        model=gd.MLP(hidden=(500,), activation="square", bias=False, init="gromov"),
        loss=gd.MSE(),
        optimizer=gd.AdamW(learning_rate=0.01, b2=0.98, weight_decay=weight_decay),
        steps=steps,
        record=gd.At((*LOOKS, 50, 55, 60)),
    )


def start_from(experiment, reference):
    params = gd.interop.from_torch(experiment.model, reference, prefix="init.")
    if "train_indices" in reference:
        return gd.Start(params=params, train_rows=reference["train_indices"])
    pairs = reference["train_pairs"]
    rows = pairs[:, 0] * experiment.task.p + pairs[:, 1]
    return gd.Start(params=params, train_rows=rows, train_labels=reference["train_labels"])


def test_edge_adamw_follows_pytorch():
    reference, experiment = load("edge_adamw_ce32"), edge()
    ds = gd.run(experiment, start=start_from(experiment, reference))
    assert_follows(ds.train_loss, reference["train_loss"])
    at = reference["eval_steps"][reference["eval_steps"] <= 25]
    np.testing.assert_allclose(ds.weight_norm_per_tensor.sel(step=at), reference["weight_norm"][: len(at)], rtol=1e-3)


@pytest.mark.parametrize(("name", "weight_decay"), [("doshi_clean_wd5", 5.0), ("doshi_noise35_wd15", 15.0)])
def test_doshi_follows_pytorch(name, weight_decay):
    reference, experiment = load(name), doshi(weight_decay, steps=60)
    ds = gd.run(experiment, start=start_from(experiment, reference))
    assert_follows(ds.train_loss, reference["train_loss"])
    if name == "doshi_clean_wd5":
        theirs = np.interp(0.5, reference["test_acc"], reference["eval_steps"])
        ours = np.interp(0.5, ds.test_accuracy.values, ds.step.values)
        assert abs(ours - theirs) <= 2
