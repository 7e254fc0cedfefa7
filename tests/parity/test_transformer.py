"""The one-layer transformer of Nanda et al. follows independent PyTorch code; in float64 it follows plain numpy."""

import numpy as np
import pytest

import grokdyn as gd
from tests.parity.trajectories import LOOKS, assert_follows, load

P = 113
ADAMW = gd.AdamW(learning_rate=1e-3, b2=0.98, weight_decay=1.0, schedule=gd.Warmup(steps=10.0))


def nanda(steps=50, **changes):
    return gd.Experiment(
        task=gd.ModularArithmetic(op="add", p=P, train_fraction=0.3, sequence="a b ="),
        model=gd.Transformer(),
        loss=gd.CrossEntropy(),
        optimizer=ADAMW,
        steps=steps,
        record=gd.Every(1),
        probes=(gd.Loss(), gd.Accuracy()),
    ).replace(**changes)


@pytest.mark.as_users
def test_nandas_transformer_follows_pytorch():
    reference, experiment = load("nanda_transformer"), nanda(record=gd.At(LOOKS))
    params = gd.interop.from_torch(experiment.model, reference, prefix="init.")
    rows = reference["train_pairs"][:, 0] * P + reference["train_pairs"][:, 1]
    ds = gd.run(experiment, start=gd.Start(params=params, train_rows=rows))
    assert_follows(ds.train_loss, reference["train_loss"])
    at = reference["eval_steps"] <= 25
    steps = reference["eval_steps"][at]
    np.testing.assert_allclose(ds.test_loss.sel(step=steps), reference["test_loss"][at], rtol=1e-3)


# By default that of NumPy below stands for it.
@pytest.mark.as_users
@pytest.mark.slow
def test_in_float64_it_follows_pytorch_closely():
    """The same start and split, the size of the paper, 50 steps."""
    start, reference = load("nanda_transformer"), load("nanda_transformer_f64")
    experiment = nanda(
        dtype="float64",
        loss=gd.CrossEntropy(precision="float64"),
        probes=(gd.Loss(),),
        record=gd.At((0, 2, 10, 25, 50)),
    )
    params = gd.interop.from_torch(experiment.model, start, prefix="init.")
    rows = start["train_pairs"][:, 0] * P + start["train_pairs"][:, 1]
    ds = gd.run(experiment, start=gd.Start(params=params, train_rows=rows))
    np.testing.assert_allclose(ds.train_loss, reference["train_loss"][ds.step], rtol=1e-10)
    np.testing.assert_allclose(ds.test_loss.sel(step=reference["eval_steps"]), reference["test_loss"], rtol=1e-10)


# A float64 run against a transcription that shares no code with it: forward, backward and update written out.


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def loss_and_gradients(w, tokens, labels, heads):
    """Return the mean cross-entropy of a one-layer causal transformer at the last token, and its gradients.

    Without ``W_in_0`` it has attention alone.
    """
    n, length = tokens.shape
    d = w["W_E"].shape[1]
    split = (n, length, heads, d // heads)
    x = w["W_E"][tokens] + w["W_pos"]
    q, k, v = ((x @ w[f"W_{name}_0"]).reshape(split) for name in "QKV")
    scores = np.einsum("nihd,njhd->nhij", q, k) / np.sqrt(d // heads)
    attention = softmax(np.where(np.tri(length, dtype=bool), scores, -np.inf))
    read = np.einsum("nhij,njhd->nihd", attention, v).reshape(x.shape)
    mid = x + read @ w["W_O_0"]
    neurons = "W_in_0" in w
    pre = mid @ w["W_in_0"] + w["b_in_0"] if neurons else np.zeros((n, length, 0))
    hidden = np.maximum(pre, 0)
    post = mid + hidden @ w["W_out_0"] + w["b_out_0"] if neurons else mid
    probabilities = softmax(post[:, -1] @ w["W_U"])
    rows = np.arange(n)
    loss = -np.log(probabilities[rows, labels]).mean()

    def outer(a, b):
        return np.einsum("nia,nib->ab", a, b)

    g = {}
    slope = probabilities.copy()
    slope[rows, labels] -= 1
    slope /= n
    g["W_U"] = post[:, -1].T @ slope
    back = np.zeros_like(post)
    back[:, -1] = slope @ w["W_U"].T
    if neurons:
        g["W_out_0"], g["b_out_0"] = outer(hidden, back), back.sum((0, 1))
        inner = (back @ w["W_out_0"].T) * (pre > 0)
        g["W_in_0"], g["b_in_0"] = outer(mid, inner), inner.sum((0, 1))
        back = back + inner @ w["W_in_0"].T
    g["W_O_0"] = outer(read, back)
    back_read = (back @ w["W_O_0"].T).reshape(split)
    slope_attention = np.einsum("nihd,njhd->nhij", back_read, v)
    flow = attention * (slope_attention - np.sum(attention * slope_attention, -1, keepdims=True))
    flow /= np.sqrt(d // heads)
    parts = {
        "Q": np.einsum("nhij,njhd->nihd", flow, k),
        "K": np.einsum("nhij,nihd->njhd", flow, q),
        "V": np.einsum("nhij,nihd->njhd", attention, back_read),
    }
    for name, part in parts.items():
        part = part.reshape(x.shape)
        g[f"W_{name}_0"] = outer(x, part)
        back = back + part @ w[f"W_{name}_0"].T
    g["W_pos"] = back.sum(0)
    g["W_E"] = np.zeros_like(w["W_E"])
    np.add.at(g["W_E"], tokens, back)
    return loss, g


def trained(w, tokens, labels, heads, steps, lr=1e-3, b1=0.9, b2=0.98, eps=1e-8, decay=1.0):
    """Return the losses before each AdamW step; the learning rate rises from 0 over ten steps."""
    w = {name: value.copy() for name, value in w.items()}
    m, v = ({name: np.zeros_like(x) for name, x in w.items()} for _ in range(2))
    losses = []
    for t in range(1, steps + 1):
        loss, g = loss_and_gradients(w, tokens, labels, heads)
        losses.append(loss)
        rate = lr * min((t - 1) / 10, 1)
        for name in w:
            m[name] = b1 * m[name] + (1 - b1) * g[name]
            v[name] = b2 * v[name] + (1 - b2) * g[name] ** 2
            direction = m[name] / (1 - b1**t) / (np.sqrt(v[name] / (1 - b2**t)) + eps)
            w[name] = w[name] - rate * (direction + decay * w[name])
    return np.array(losses)


@pytest.mark.parametrize(("path", "ff"), [("answer", 20), ("full", 20), ("auto", 0), ("full", 0)])
def test_a_float64_run_is_numpys(path, ff):
    """With neurons and, ``ff`` = 0, without."""
    p, d, heads, lr = 7, 12, 3, 0.02
    rng = np.random.default_rng(0)
    shapes = {"W_E": (p + 1, d), "W_pos": (3, d), **{f"W_{name}_0": (d, d) for name in "QKVO"}}
    shapes |= {"W_in_0": (d, ff), "b_in_0": (ff,), "W_out_0": (ff, d), "b_out_0": (d,)} if ff else {}
    shapes["W_U"] = (d, p + 1)
    weights = {name: rng.normal(size=shape) * 0.4 for name, shape in shapes.items()}
    experiment = nanda(
        task=gd.ModularArithmetic(op="mul", p=p, sequence="a b ="),
        model=gd.Transformer(d_model=d, heads=heads, d_mlp=ff, path=path),
        loss=gd.CrossEntropy(precision="float64"),
        optimizer=ADAMW.replace(learning_rate=lr),
        probes=(gd.Loss(),),
        dtype="float64",
    )
    table, rows = experiment.task.table(), rng.permutation(p * p)[:30]
    found = gd.run(experiment, start=gd.Start(params=weights, train_rows=rows)).train_loss.values[:50]
    exact = trained(weights, table.inputs[rows], table.labels[rows], heads, 50, lr)
    assert exact[-1] < (0.5 if ff else 0.9) * exact[0]
    np.testing.assert_allclose(found, exact, rtol=1e-8 if ff else 1e-10)
