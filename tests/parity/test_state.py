"""Norms, convolutions and what they carry follow PyTorch for fifty steps in float64, measured as its ``eval()``."""

from itertools import pairwise

import numpy as np
import pytest

import grokdyn as gd

torch = pytest.importorskip("torch")
nn, functional = torch.nn, torch.nn.functional
STEPS, P = 50, 7
TABLE = gd.ModularArithmetic(p=P).table()
CODES = np.concatenate([np.eye(P)[TABLE.inputs[:, 0]], np.eye(P)[TABLE.inputs[:, 1]]], axis=1)


class Ghost(nn.Module):
    """Batch norm chunk by chunk."""

    def __init__(self, width, chunk, momentum):
        super().__init__()
        self.inner, self.chunk = nn.BatchNorm1d(width, momentum=momentum), chunk

    def forward(self, x):
        return torch.cat([self.inner(part) for part in x.split(self.chunk)]) if self.training else self.inner(x)


class Residual(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.layers(x)


class Square(nn.Module):
    def forward(self, x):
        return x**2


def layers(widths, norm, after, phi=nn.ReLU, wrap=None):
    """Return linear layers with a norm before or behind phi.

    Without biases: a norm behind one makes its gradient 0, of which Adam would make steps of the rounding.
    """
    blocks = []
    for layer, (n, m) in enumerate(pairwise((2 * P, *widths))):
        block = [nn.Linear(n, m, bias=False), *([phi(), norm(m)] if after else [norm(m), phi()])]
        blocks += [wrap(*block)] if wrap and layer else block
    return nn.Sequential(*blocks, nn.Linear(widths[-1], P, bias=False))


MLPS = {
    "batch norm": (gd.MLP(hidden=(9, 6), norm="batch"), lambda: layers((9, 6), nn.BatchNorm1d, False)),
    "behind phi": (
        gd.MLP(hidden=(9, 6), activation="square", norm="batch", norm_at="after", norm_eps=1e-3, norm_momentum=0.3),
        lambda: layers((9, 6), lambda n: nn.BatchNorm1d(n, 1e-3, 0.3), True, Square),
    ),
    "ghost": (
        gd.MLP(hidden=(9,), norm="batch", norm_at="after", norm_momentum=0.3, ghost=10),
        lambda: layers((9,), lambda n: Ghost(n, 10, 0.3), True),
    ),
    "layer norm": (gd.MLP(hidden=(9, 6), norm="layer"), lambda: layers((9, 6), nn.LayerNorm, False)),
    "rms": (gd.MLP(hidden=(9,), norm="rms"), lambda: layers((9,), lambda n: nn.RMSNorm(n, 1e-5), False)),
    "residual": (
        gd.MLP(hidden=(8, 8, 8), norm="batch", residual=True),
        lambda: layers((8, 8, 8), nn.BatchNorm1d, False, wrap=Residual),
    ),
}


def trained(net, x, y, train):
    """Train a module; return losses on train and test rows as ``eval()`` has them, before every step and at the end."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01, betas=(0.9, 0.98), weight_decay=0.1)
    x, y, train, losses = torch.tensor(x), torch.tensor(y), torch.tensor(train), []
    held = torch.ones(len(x), dtype=bool)
    held[train] = False
    for step in range(STEPS + 1):
        net.eval()
        with torch.no_grad():
            each = functional.cross_entropy(net(x), y, reduction="none")
            losses.append([each[train].mean().item(), each[held].mean().item()])
        if step < STEPS:
            net.train()
            functional.cross_entropy(net(x[train]), y[train]).backward()
            optimizer.step()
            optimizer.zero_grad()
    return np.array(losses).T


def experiment(model, task, **changes):
    return gd.Experiment(
        task=task,
        model=model,
        loss=gd.CrossEntropy(precision="float64"),
        optimizer=gd.AdamW(learning_rate=0.01, b2=0.98, weight_decay=0.1),
        steps=STEPS,
        record=gd.Every(1),
        probes=("loss",),
        dtype="float64",
        snapshots=(STEPS,),
    ).replace(**changes)


def assert_follows(model, net, task, x, y, train, out):
    """Check losses as they are measured, and at the end the parameters and running statistics."""
    net = net.double()
    start = gd.Start(params=gd.interop.from_torch(model, net), train_rows=train)
    ds = gd.run(experiment(model, task), out=out, start=start, progress=False)
    theirs = trained(net, x, y, train)
    np.testing.assert_allclose(ds.train_loss, theirs[0], rtol=1e-10)
    np.testing.assert_allclose(ds.test_loss, theirs[1], rtol=1e-10)
    assert theirs[0][-1] < 0.8 * theirs[0][0]
    ours, exact = gd.params(out), gd.interop.from_torch(model, net)
    assert set(ours) == set(exact)
    for name, value in exact.items():
        np.testing.assert_allclose(ours[name], value, rtol=1e-9, atol=1e-11, err_msg=name)


# Each compiles a program of its own: the others are left to the slow suite.
QUICK = ("ghost",)


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n not in QUICK)) for n in MLPS])
def test_norms_follow_pytorch(name, tmp_path):
    torch.manual_seed(0)
    model, made = MLPS[name]
    train = np.random.default_rng(1).permutation(P * P)[:30]
    task = gd.ModularArithmetic(p=P)
    assert_follows(model, made(), task, CODES, TABLE.labels.astype(np.int64), train, tmp_path / "s")


def test_a_convolutional_network_follows_pytorch(tmp_path):
    torch.manual_seed(0)
    model = gd.CNN(channels=(3, 4), kernel=3, stride=1, padding=1, pool="max", norm="batch", hidden=(6,), bias=False)
    net = nn.Sequential(
        *(nn.Conv2d(1, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(16, 6, bias=False), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 10, bias=False)),
    )
    table = gd.Digits().table()
    x, y = np.moveaxis(table.inputs, -1, 1).astype(np.float64), table.labels.astype(np.int64)
    train = np.random.default_rng(1).permutation(len(y))[:40]
    assert_follows(model, net, gd.Digits(), x, y, train, tmp_path / "s")
