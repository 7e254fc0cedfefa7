"""A pruned run is dense training of the masked network, as plain PyTorch does it, under every optimizer."""

import numpy as np
import pytest

import grokdyn as gd

torch = pytest.importorskip("torch")

STEPS, P = 50, 7
ROWS = np.arange(0, P * P, 2)
BASE = gd.Experiment(
    task=gd.ModularArithmetic(p=P),
    model=gd.MLP(hidden=(8,), activation="tanh"),
    loss=gd.CrossEntropy(precision="float64"),
    optimizer=gd.SGD(learning_rate=0.1),
    steps=STEPS,
    record=gd.Every(STEPS),
    probes=("loss",),
    snapshots=(0, STEPS),
    dtype="float64",
)
OPTIMIZERS = {
    "adamw": gd.AdamW(learning_rate=0.01, weight_decay=0.3),
    "sgd": gd.SGD(learning_rate=0.1, momentum=0.9, weight_decay=0.01),
    "perpgrad": gd.PerpGrad(gd.SGD(learning_rate=0.1)),
    "muon": gd.Muon(learning_rate=0.01, momentum=0.9, weight_decay=0.1),
}


def masked_training(weights, masks, step):
    """Train tanh(x W_0) W_1 of masked weights in float64; ``step(i, weights, gradients)`` is the optimizer."""
    numbers = torch.from_numpy(ROWS)
    a, b = numbers // P, numbers % P
    x = torch.cat([torch.nn.functional.one_hot(part, P) for part in (a, b)], 1).double()
    w = [torch.tensor(weights[name] * masks[name], requires_grad=True) for name in ("W_0", "W_1")]
    m = [torch.from_numpy(masks[name]).double() for name in ("W_0", "W_1")]
    for _ in range(STEPS):
        logits = torch.tanh(x @ (w[0] * m[0])) @ (w[1] * m[1])
        loss = torch.nn.functional.cross_entropy(logits, (a + b) % P)
        for each, slope in zip(w, torch.autograd.grad(loss, w), strict=True):
            each.grad = slope
        step(w)
        with torch.no_grad():
            for each, mask in zip(w, m, strict=True):
                each.mul_(mask)
    return {name: each.detach().numpy() for name, each in zip(("W_0", "W_1"), w, strict=True)}


class Reference:
    """The optimizers; those that PyTorch has are PyTorch's."""

    def __init__(self, name):
        self.name, self.made, self.buffers = name, None, None

    def __call__(self, w):
        if self.name == "muon":
            return self.muon(w)
        if self.made is None:
            kind = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD, "perpgrad": torch.optim.SGD}[self.name]
            own = {
                "adamw": {"lr": 0.01, "weight_decay": 0.3},
                "sgd": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01},
                "perpgrad": {"lr": 0.1},
            }
            self.made = kind(w, **own[self.name])
        if self.name == "perpgrad":
            for each in w:
                g, v = each.grad, each.detach()
                side = g - (v * g).sum() / (v * v).sum() * v
                each.grad = side * g.norm() / side.norm()
        return self.made.step()

    def muon(self, w, lr=0.01, momentum=0.9, decay=0.1):
        self.buffers = self.buffers or [torch.zeros_like(each) for each in w]
        with torch.no_grad():
            for each, buffer in zip(w, self.buffers, strict=True):
                buffer.mul_(momentum).add_(each.grad)
                g = each.grad + momentum * buffer
                tall = g.shape[0] > g.shape[1]
                x = g.T if tall else g
                x = x / x.norm()
                for _ in range(5):
                    gram = x @ x.T
                    x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
                x = x.T if tall else x
                each.sub_(lr * (x * max(1, each.shape[1] / each.shape[0]) ** 0.5 + decay * each))


@pytest.fixture(scope="module")
def dense(tmp_path_factory):
    path = tmp_path_factory.mktemp("dense") / "store"
    gd.run(BASE, out=path, start=gd.Start(train_rows=ROWS), progress=False)
    return path


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_pruned_run_follows_pytorch_on_the_masked_network(name, dense, tmp_path):
    change = {"optimizer": OPTIMIZERS[name]}
    gd.fork(dense, rewind=0, apply=gd.Prune(keep=0.4), change=change, out=tmp_path / "ticket", progress=False)
    masks, begin = gd.masks(tmp_path / "ticket"), gd.params(dense, step=0)
    assert sum(mask.sum() for mask in masks.values()) == round(0.4 * (14 * 8 + 8 * 7))
    theirs = masked_training(begin, masks, Reference(name))
    ours = gd.params(tmp_path / "ticket", step=STEPS)
    for tensor, mask in masks.items():
        assert (ours[tensor][~mask] == 0).all()
        assert np.abs(ours[tensor] - theirs[tensor]).max() <= 1e-10
        assert (np.abs(ours[tensor] - begin[tensor])[mask] > 1e-4).mean() > 0.9
