"""Every kind of position, shared layers, linear attention and vectors as tokens follow plain PyTorch for fifty steps in
float64, from the names of TransformerLens.
"""

import numpy as np
import pytest

import grokdyn as gd

torch = pytest.importorskip("torch")
functional = torch.nn.functional
STEPS, P, D, HEADS, FF, T = 50, 5, 8, 2, 12, 4


def score_bias(kind, table):
    """Return what scores get [heads, T, T]; of T5's entries the first ones, an entry a distance."""
    far = torch.arange(T)[:, None] - torch.arange(T)
    if kind == "alibi":
        slopes = torch.tensor([2.0 ** (-8 * (h + 1) / HEADS) for h in range(HEADS)], dtype=torch.float64)
        return -slopes[:, None, None] * far.abs()
    if kind == "t5":
        return table[far.clamp(min=0)].permute(2, 0, 1)
    return torch.zeros(HEADS, T, T, dtype=torch.float64)


def turn(x):
    """Return queries or keys [rows, heads, T, width] under rotary positions: the matrices of rotation written out."""
    width = x.shape[-1]
    angle = torch.arange(T)[:, None] / 10_000 ** (torch.arange(0, width, 2, dtype=torch.float64) / width)
    even, odd, c, s = x[..., ::2], x[..., 1::2], angle.cos(), angle.sin()
    return torch.stack([even * c - odd * s, even * s + odd * c], -1).flatten(-2)


def forward(model, w, inputs):
    """Return the logits after the last token, all positions of all layers computed."""

    def norm(x, name):
        return functional.layer_norm(x, (D,), w[f"{name}.w"], w[f"{name}.b"]) if model.norm == "pre" else x

    def placed(x):
        return x + w["pos_embed.W_pos"] if model.positions == "learned" else x

    x = w["embed.W_E"][inputs] if inputs.dtype == torch.int64 else inputs @ w["embed.W_read"]
    x = placed(x)
    there = torch.ones(inputs.shape[:2], dtype=torch.bool) if inputs.ndim == 2 else (inputs != 0).any(-1)
    allowed = torch.ones(T, T, dtype=torch.bool).tril() & there[:, None, None]
    bias = score_bias(model.positions, w.get("rel_pos_bias.weight"))
    for run in range(model.repeats):
        if run and model.re_embed:
            x = placed(torch.softmax(norm(x, "ln_final") @ w["unembed.W_U"], -1) @ w["embed.W_E"])
        for layer in range(model.layers):
            block = f"blocks.{layer}"
            y = norm(x, f"{block}.ln1")
            q, k, v = (torch.einsum("btd,hde->bhte", y, w[f"{block}.attn.W_{part}"]) for part in "QKV")
            if model.positions == "rotary":
                q, k = turn(q), turn(k)
            scores = q @ k.transpose(-1, -2) / (D // HEADS) ** 0.5 + bias
            if model.attention == "linear":
                weights = scores * allowed
            else:
                weights = torch.softmax(scores.masked_fill(~allowed, -1e300), -1)
            x = x + torch.einsum("bhte,hed->btd", weights @ v, w[f"{block}.attn.W_O"])
            y = norm(x, f"{block}.ln2")
            hidden = torch.relu(y @ w[f"{block}.mlp.W_in"] + w[f"{block}.mlp.b_in"])
            x = x + hidden @ w[f"{block}.mlp.W_out"] + w[f"{block}.mlp.b_out"]
    return norm(x, "ln_final")[:, -1] @ w["unembed.W_U"]


def first(model, vectors):
    """Return parameters under the names of TransformerLens."""
    d, shapes = (HEADS, D, D // HEADS), {"embed.W_E": (P + 2, D), "unembed.W_U": (D, P + 2)}
    if vectors:
        shapes = {"embed.W_read": (3, D), "unembed.W_U": (D, 1)}
    if model.positions == "learned":
        shapes["pos_embed.W_pos"] = (T, D)
    if model.positions == "t5":
        shapes["rel_pos_bias.weight"] = (32, HEADS)
    for layer in range(model.layers):
        block = f"blocks.{layer}"
        shapes |= {f"{block}.attn.W_{part}": d for part in "QKV"} | {f"{block}.attn.W_O": (HEADS, D // HEADS, D)}
        shapes |= {f"{block}.mlp.W_in": (D, FF), f"{block}.mlp.b_in": (FF,)}
        shapes |= {f"{block}.mlp.W_out": (FF, D), f"{block}.mlp.b_out": (D,)}
    if model.norm == "pre":
        names = ["ln_final", *(f"blocks.{layer}.ln{i}" for layer in range(model.layers) for i in (1, 2))]
        shapes |= {f"{name}.{part}": (D,) for name in names for part in "wb"}
    rng = np.random.default_rng(0)
    return {name: 0.4 * rng.normal(size=shape) + name.endswith(".w") for name, shape in shapes.items()}


SMALL = gd.Transformer(d_model=D, heads=HEADS, d_mlp=FF)
slow = pytest.mark.slow
CASES = {
    "alibi, merged": SMALL.replace(positions="alibi"),
    "t5, layers run twice, re-embedded": SMALL.replace(positions="t5", norm="pre", repeats=2, re_embed=True),
    "rotary": SMALL.replace(positions="rotary", layers=2, norm="pre"),
    "alibi": SMALL.replace(positions="alibi", layers=2),
    "t5, merged": SMALL.replace(positions="t5"),
    "none": SMALL.replace(positions="none", layers=2),
    "linear attention": SMALL.replace(attention="linear", layers=2),
    "learned, layers run three times": SMALL.replace(repeats=3, norm="pre"),
    "vectors": SMALL.replace(positions="alibi", layers=2),
    "vectors, linear attention": SMALL.replace(positions="none", attention="linear"),
}


class Padded(gd.Task):
    """Sequences of two to four vectors, padded, and a number that is made of them."""

    def signature(self):
        return gd.Signature(gd.Sequences(T, 3), gd.Reals(1), 30)

    def table(self):
        x = np.random.default_rng(1).normal(size=(30, T, 3))
        x[:10, :2], x[10:20, :1] = 0, 0
        return gd.Table(x, (x[:, -1] * x.sum(1)).sum(-1, keepdims=True))


@pytest.mark.parametrize("name", [n if i == 0 else pytest.param(n, marks=slow) for i, n in enumerate(CASES)])
def test_it_follows_pytorch(name):
    model, vectors = CASES[name], name.startswith("vectors")
    start = first(model, vectors)
    task = Padded() if vectors else gd.ModularArithmetic(p=P, sequence="a op b =")
    table = task.table()
    rows = np.random.default_rng(2).permutation(len(table.labels))[:20]
    experiment = gd.Experiment(
        task=task,
        model=model,
        loss=gd.MSE() if vectors else gd.CrossEntropy(precision="float64"),
        optimizer=gd.Adam(learning_rate=0.01),
        steps=STEPS,
        record=gd.Every(1),
        probes=(gd.Loss(),),
        dtype="float64",
    )
    params = gd.interop.from_torch(model, start)
    found = gd.run(experiment, start=gd.Start(params=params, train_rows=rows), progress=False).train_loss.values
    w = {name: torch.tensor(value, requires_grad=True) for name, value in start.items()}
    inputs, labels = torch.tensor(np.asarray(table.inputs)), torch.tensor(np.asarray(table.labels))
    inputs = inputs if vectors else inputs.long()
    optimizer, losses = torch.optim.Adam(list(w.values()), lr=0.01), []
    for _ in range(STEPS + 1):
        logits = forward(model, w, inputs[rows])
        loss = (
            ((logits - labels[rows]) ** 2).mean() if vectors else functional.cross_entropy(logits, labels[rows].long())
        )
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.7 * losses[0]
    np.testing.assert_allclose(found, losses, rtol=1e-10)
    back = gd.interop.to_torch(model, params)
    assert back.keys() == start.keys()
    again = gd.interop.from_torch(model, back)
    assert all(np.array_equal(again[key], params[key]) for key in params)
