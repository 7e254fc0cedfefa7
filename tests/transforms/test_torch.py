"""Mixup, row weights and shares of classes train as plain PyTorch does, from the same start and the same draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.train.transformed import step_key
from grokdyn.transforms.base import Batch
from grokdyn.transforms.mixup import partners
from tests.train.lanes import taken_apart

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("x64")
STEPS = 50
MIXUPS = {
    "batch": gd.Mixup(alpha=0.7, until=30),
    "row": gd.Mixup(alpha=1.0, per="row"),
    "same class": gd.Mixup(alpha=2.0, same_class=True),
}


def experiment(mixup, loss):
    return gd.Experiment(
        task=gd.SparseParity(bits=2, noise_bits=6, strings=40, train_points=30),
        model=gd.MLP(hidden=(8,), activation="tanh", bias=True, init="torch"),
        loss=loss,
        optimizer=gd.AdamW(learning_rate=0.01, weight_decay=0.1),
        transforms=(gd.RowWeights(feature="ones", low=4, high=8, factor=3.0, since=10), mixup),
        steps=STEPS,
        record=gd.Every(1),
        probes=("loss", "descended"),
        dtype="float64",
    )


def drawing(run, mixup):
    """Return the compiled function of a step that gives l [rows] and the partner of every row."""
    n = run.rows.counts.shape[0]
    batch = Batch(run.rows.inputs, run.rows.labels, jnp.ones(n), run.rows.counts, jnp.arange(n), 2)

    @jax.jit
    def draws(step):
        share_key, pair_key = jax.random.split(jax.random.fold_in(step_key(run.lane, step), 1))
        return mixup.shares(batch, share_key, step), partners(batch, pair_key, mixup.same_class)

    return lambda step: (torch.tensor(np.array(a)) for a in draws(jnp.int32(step)))


def of_rows(z, t, loss):
    if isinstance(loss, gd.MSE):
        return torch.mean((z - t) ** 2, 1)
    if isinstance(loss, gd.StableMaxCrossEntropy):
        s = torch.where(z < 0, 1 / (1 - z.clamp(max=0)), z.clamp(min=0) + 1)
        return -(t * torch.log(s / s.sum(1, keepdim=True))).sum(1)
    smoothed = t if loss.label_smoothing is None else (1 - loss.label_smoothing) * t + loss.label_smoothing / 2
    return -(smoothed * torch.log_softmax(z, 1)).sum(1)


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("batch", gd.CrossEntropy(precision="float64")),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ("row", gd.MSE()),
                ("row", gd.StableMaxCrossEntropy()),
                ("same class", gd.CrossEntropy(precision="float64", label_smoothing=0.2)),
            )
        ),
    ],
)
def test_fifty_steps_are_those_of_plain_pytorch(name, loss):
    mixup, told = MIXUPS[name], experiment(MIXUPS[name], loss)
    found, run = gd.run(told, progress=False), taken_apart(told)
    x, y = (torch.tensor(np.array(a)) for a in (run.rows.inputs, run.rows.labels))
    x, hot = x.double(), torch.nn.functional.one_hot(y.long(), 2).double()
    params = {k: torch.tensor(np.array(v), requires_grad=True) for k, v in run.state.params.items()}
    optimizer = torch.optim.AdamW(list(params.values()), lr=0.01, weight_decay=0.1)
    draws = drawing(run, mixup)

    def forward(x):
        return torch.tanh(x @ params["W_0"] + params["b_0"]) @ params["W_1"] + params["b_1"]

    seen = {"train_loss": [], "descended_loss": []}
    for step in range(STEPS + 1):
        l, partner = draws(step)
        share = l[:, None]
        w = torch.where((x.sum(1) >= 4) & torch.tensor(step >= 10), 3.0, 1.0).double()
        losses = of_rows(forward(share * x + (1 - share) * x[partner]), share * hot + (1 - share) * hot[partner], loss)
        descended = (w * losses).sum() / w.sum()
        seen["descended_loss"].append(descended.item())
        seen["train_loss"].append(of_rows(forward(x), hot, loss).mean().item())
        optimizer.zero_grad()
        descended.backward()
        optimizer.step()
    for variable, values in seen.items():
        np.testing.assert_allclose(found[variable], values, rtol=1e-10)
