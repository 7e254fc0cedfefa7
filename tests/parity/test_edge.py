"""perpGrad, StableMax and the encoder layer follow independent PyTorch code; float64 follows plain numpy closely."""

import numpy as np
import pytest

import grokdyn as gd
from tests.parity.test_mlp import edge, start_from
from tests.parity.trajectories import assert_follows, load, relative_errors

ADAMW = gd.AdamW(learning_rate=0.01)
VARIANTS = {
    "edge_perpgrad_adamw": {"optimizer": gd.PerpGrad(inner=ADAMW)},
    "edge_stablemax_adamw": {"loss": gd.StableMaxCrossEntropy(), "optimizer": ADAMW.replace(eps=1e-25)},
}


@pytest.mark.as_users
@pytest.mark.parametrize("name", VARIANTS)
def test_edge_variants_follow_pytorch(name):
    reference, experiment = load(name), edge(**VARIANTS[name])
    ds = gd.run(experiment, start=start_from(experiment, load("edge_adamw_ce32")))
    assert_follows(ds.train_loss, reference["train_loss"])
    at = reference["eval_steps"][reference["eval_steps"] <= 25]
    theirs = reference["weight_norm"][: len(at)]
    np.testing.assert_allclose(ds.weight_norm_per_tensor.sel(step=at), theirs, rtol=1e-3)


@pytest.mark.as_users
def test_the_encoder_with_perpgrad_follows_pytorch():
    reference = load("edge_transformer_perpgrad")
    experiment = edge(
        steps=10,
        record=gd.At((0, 1, 2, 5, 9, 10)),
        task=gd.ModularArithmetic(op="add", p=113, train_fraction=0.4, first_residue=1),
        model=gd.Encoder(),
        optimizer=gd.PerpGrad(inner=ADAMW.replace(learning_rate=1e-3)),
        probes=(gd.Loss(), gd.Accuracy()),
    )
    params = gd.interop.from_torch(experiment.model, reference, prefix="init.")
    pairs = reference["train_pairs"]
    ds = gd.run(experiment, start=gd.Start(params=params, train_rows=(pairs[:, 0] - 1) * 112 + pairs[:, 1] - 1))
    assert relative_errors(ds.train_loss, reference["train_loss"])[10] <= 1e-5
    at = reference["eval_steps"] <= 10
    theirs = reference["test_acc"][at]
    # One row of 7527 may fall on the other side.
    np.testing.assert_allclose(ds.test_accuracy.sel(step=reference["eval_steps"][at]), theirs, atol=1.5 / 7527)


# A float64 run against a transcription that shares no code with it: the update rules as the papers write them.

P, TRAIN = 7, 30


def softmax_slope(z, y):
    e = np.exp(z - z.max(1, keepdims=True))
    p = e / e.sum(1, keepdims=True)
    rows = np.arange(len(y))
    loss = -np.log(p[rows, y]).mean()
    p[rows, y] -= 1
    return loss, p / len(y)


def stablemax_slope(z, y):
    s = np.where(z >= 0, z + 1, 1 / (1 - np.minimum(z, 0)))
    rows = np.arange(len(y))
    slope = np.where(z >= 0, 1, s**2) / s.sum(1, keepdims=True)
    slope[rows, y] -= np.where(z >= 0, 1, s**2)[rows, y] / s[rows, y]
    return -np.log(s[rows, y] / s.sum(1)).mean(), slope / len(y)


def projected(w, g):
    g_perp = g - np.sum(w * g) / np.sum(w * w) * w
    return g_perp * np.linalg.norm(g) / np.linalg.norm(g_perp)


def adamw(steps, x, y, weights, slope_of, project, lr=0.01, b1=0.9, b2=0.99, eps=1e-8, decay=0.1):
    """Return the losses before each of the steps of a network with two hidden relu layers."""
    weights = [w.copy() for w in weights]
    m, v, losses = [0 * w for w in weights], [0 * w for w in weights], []
    for t in range(1, steps + 1):
        h1 = np.maximum(x @ weights[0], 0)
        h2 = np.maximum(h1 @ weights[1], 0)
        loss, slope = slope_of(h2 @ weights[2], y)
        losses.append(loss)
        back2 = (slope @ weights[2].T) * (h2 > 0)
        back1 = (back2 @ weights[1].T) * (h1 > 0)
        gradients = [x.T @ back1, h1.T @ back2, h2.T @ slope]
        for i, g in enumerate(gradients):
            g = projected(weights[i], g) if project else g
            m[i] = b1 * m[i] + (1 - b1) * g
            v[i] = b2 * v[i] + (1 - b2) * g**2
            direction = m[i] / (1 - b1**t) / (np.sqrt(v[i] / (1 - b2**t)) + eps)
            weights[i] = weights[i] - lr * (direction + decay * weights[i])
    return np.array(losses)


@pytest.mark.parametrize("project", [False, True], ids=["adamw", "perpgrad"])
@pytest.mark.parametrize(
    ("loss", "slope_of"),
    [(gd.CrossEntropy(precision="float64"), softmax_slope), (gd.StableMaxCrossEntropy(), stablemax_slope)],
    ids=["cross_entropy", "stablemax"],
)
def test_a_float64_run_is_numpys(loss, slope_of, project):
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=shape) * 0.4 for shape in ((2 * P, 12), (12, 10), (10, P))]
    task = gd.ModularArithmetic(op="mul", p=P)
    table, rows = task.table(), rng.permutation(P * P)[:TRAIN]
    inner = gd.AdamW(learning_rate=0.01, b2=0.99, weight_decay=0.1)
    experiment = gd.Experiment(
        task=task,
        model=gd.MLP(hidden=(12, 10)),
        loss=loss,
        optimizer=gd.PerpGrad(inner=inner) if project else inner,
        steps=200,
        record=gd.Every(1),
        probes=(gd.Loss(),),
        dtype="float64",
    )
    params = {f"W_{i}": w for i, w in enumerate(weights)}
    found = gd.run(experiment, start=gd.Start(params=params, train_rows=rows)).train_loss.values[:200]
    x = np.concatenate([np.eye(P)[table.inputs[rows, 0]], np.eye(P)[table.inputs[rows, 1]]], axis=1)
    exact = adamw(200, x, table.labels[rows], weights, slope_of, project)
    assert exact[-1] < 0.6 * exact[0]
    np.testing.assert_allclose(found, exact, rtol=1e-8)
