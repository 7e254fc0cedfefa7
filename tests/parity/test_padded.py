"""Rows of several lengths, with one answer or several read in order, follow plain PyTorch for fifty steps in float64.

PyTorch is given every row alone, its own tokens without padding.
"""

import jax
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.tasks.streams import split_keys

torch = pytest.importorskip("torch")
functional = torch.nn.functional
STEPS, D, HEADS = 50, 8, 2
# At .01 the loss of an addition jumps at step 35, and rounding errors grow a thousandfold with it.
RATE = 0.003
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("x64")]


def bias(model, w, n):
    """Return what scores of n tokens get [heads, n, n]; of T5's entries the first ones, an entry a distance."""
    far = torch.arange(n)[:, None] - torch.arange(n)
    if model.positions == "alibi":
        slopes = torch.tensor([2.0 ** (-8 * (h + 1) / HEADS) for h in range(HEADS)], dtype=torch.float64)
        return -slopes[:, None, None] * far.abs()
    return w["W_rel"][far.clamp(min=0)].permute(2, 0, 1) if model.positions == "t5" else 0


def logits_of(model, w, tokens):
    """Return the logits after every token of one row."""

    def norm(x, name, suffix=""):
        return functional.layer_norm(x, (D,), w[f"{name}_scale{suffix}"], w[f"{name}_shift{suffix}"])

    n = len(tokens)
    x = w["W_E"][tokens]
    if model.positions == "learned":
        x = x + w["W_pos"][:n]
    blind = torch.ones(n, n, dtype=torch.bool).triu(1)
    for layer in range(model.layers):
        y = norm(x, "ln1", f"_{layer}")
        q, k, v = ((y @ w[f"W_{part}_{layer}"]).unflatten(-1, (HEADS, -1)).transpose(0, 1) for part in "QKV")
        scores = q @ k.transpose(-1, -2) / (D // HEADS) ** 0.5 + bias(model, w, n)
        read = torch.softmax(scores.masked_fill(blind, -torch.inf), -1) @ v
        x = x + read.transpose(0, 1).flatten(-2) @ w[f"W_O_{layer}"]
        hidden = torch.relu(norm(x, "ln2", f"_{layer}") @ w[f"W_in_{layer}"] + w[f"b_in_{layer}"])
        x = x + hidden @ w[f"W_out_{layer}"] + w[f"b_out_{layer}"]
    return norm(x, "ln_final") @ w["W_U"]


@pytest.mark.parametrize(
    ("algorithm", "positions"), [("copy", "learned"), ("recall", "t5"), ("add_reversed", "alibi"), ("mode", "none")]
)
def test_it_follows_pytorch(algorithm, positions):
    task = gd.Algorithmic(algorithm=algorithm, lengths=(1, 4), rows=5, fresh=False, train_fraction=1.0)
    answers = task.signature().answers
    experiment = gd.Experiment(
        task=task,
        model=gd.Transformer(
            layers=2, d_model=D, heads=HEADS, d_mlp=12, norm="pre", positions=positions, padded=True, answers=answers
        ),
        loss=gd.CrossEntropy(precision="float64"),
        optimizer=gd.Adam(learning_rate=RATE),
        steps=STEPS,
        record=gd.Every(1),
        probes=(gd.Loss(),),
        dtype="float64",
    )
    key = jax.random.key(7)
    start = {name: np.asarray(w) for name, w in experiment.model.start(key, task.signature(), "float64").items()}
    found = gd.run(experiment, start=gd.Start(params=start), progress=False).train_loss.values
    table = jax.jit(lambda: task.draw(split_keys(experiment)[1]))()
    inputs, labels = np.asarray(table.inputs), np.asarray(table.labels).reshape(len(table.labels), -1)
    rows = [
        (torch.tensor(x[x >= 0], dtype=torch.long), torch.tensor(y[y >= 0], dtype=torch.long))
        for x, y in zip(inputs, labels, strict=True)
    ]
    w = {name: torch.tensor(value, requires_grad=True) for name, value in start.items()}
    optimizer, losses = torch.optim.Adam(list(w.values()), lr=RATE), []
    for _ in range(STEPS + 1):
        each = [functional.cross_entropy(logits_of(experiment.model, w, x)[-len(y) :], y) for x, y in rows]
        loss = torch.stack(each).mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    np.testing.assert_allclose(found, losses, rtol=1e-10)
    assert losses[-1] < 0.8 * losses[0]
