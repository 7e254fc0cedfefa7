"""Filters over patches, their training and what probes measure of them, against plain PyTorch and numpy."""

import numpy as np
import pytest

import grokdyn as gd
from tests.train.lanes import taken_apart

STEPS = 50
TASK = gd.FeatureData(dimension=9, common=6, rare=4, both=3, test_rows=5, rare_length=0.5, noise_patches=2)
SIGNED = TASK.replace(vectors="opposite", places="own", targets="sign")
CASES = {
    "classes": (TASK, gd.Patches(filters=3, power=3), gd.CrossEntropy(precision="float64"), ()),
    "quadratic": (TASK, gd.Patches(filters=4, rectified=False), gd.CrossEntropy(precision="float64"), ()),
    "sign": (SIGNED, gd.Patches(filters=3, opposed=True, averaged=True), gd.MSE(), ("sign_accuracy", "residual")),
}


class Rows(gd.Probe):
    """The rows of the run itself: drawn elsewhere, they may differ in the last bit of float32."""

    def variables(self, shapes):
        inputs = shapes.signature.inputs
        axes = {"row": range(shapes.signature.rows), "place": range(inputs.width), "channel": range(inputs.channels)}
        return {"rows": gd.Variable("inputs", dims=tuple(axes), coordinates=axes)}

    def measure(self, view):
        return {"rows": view.inputs[:, 0]}


def experiment(name, **changes):
    task, model, loss, further = CASES[name]
    return gd.Experiment(
        task=task,
        model=model.replace(init_scale=0.5),
        loss=loss,
        optimizer=gd.SGD(learning_rate=0.05, momentum=0.5),
        steps=STEPS,
        record=gd.Every(10),
        probes=("loss", "feature_alignment", Rows(every=STEPS), *further),
        dtype="float64",
    ).replace(**changes)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "name", [*(pytest.param(name, marks=pytest.mark.slow) for name in ("classes", "quadratic")), "sign"]
)
def test_fifty_steps_and_all_records_are_those_of_a_plain_convolution_in_pytorch(name):
    torch = pytest.importorskip("torch")
    exp = experiment(name)
    run, ds = taken_apart(exp), gd.run(exp, progress=False)
    model, sides = exp.model, 2 if exp.model.opposed else 1
    x = torch.tensor(ds.rows.values[0]).double().permute(0, 2, 1)[:, :, None]
    train = np.array(run.rows.index)
    y = torch.tensor(np.array(run.table.labels))
    W = torch.nn.Parameter(torch.tensor(np.array(run.state.params["W"])).T[:, :, None, None].contiguous())
    optimizer = torch.optim.SGD([W], lr=0.05, momentum=0.5)
    for step in range(STEPS + 1):
        h = torch.nn.functional.conv2d(x, W)[:, :, 0]
        phi = (torch.relu(h) if model.rectified else h) ** model.power
        units = phi.sum(2).reshape(len(x), -1, sides, model.filters)
        sums = units.mean(3) if model.averaged else units.sum(3)
        f = sums[:, :, 0] - sums[:, :, 1] if model.opposed else sums[:, :, 0]
        if step % 10 == 0:
            assert_records(exp, ds.sel(step=step), h, W, f, y, train)
        loss = loss_of(exp, f[train], y[train])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def loss_of(exp, f, y):
    """Return the train loss in PyTorch."""
    import torch

    signed = exp.task.targets == "sign"
    return torch.mean((f - y) ** 2) if signed else torch.nn.functional.cross_entropy(f, y.long())


def assert_records(exp, at, h, W, f, y, train):
    """Assert that a record is what numpy makes of logits, products and filters."""
    loss = loss_of(exp, f[train], y[train]).item()
    h, W, f, y = (a.detach().numpy() for a in (h, W[:, :, 0, 0], f, y))
    np.testing.assert_allclose(at.train_loss, loss, rtol=1e-10)
    assert_alignment(exp, at, h, W, y, train)
    if exp.task.targets == "sign":
        beyond, targets = (np.sign(y) * (f - y))[train, 0], y[train, 0]
        np.testing.assert_allclose(at.residual, [beyond[targets == s].mean() for s in (-1, 1)], rtol=1e-9)
        right = np.sign(f) == np.sign(y)
        assert float(at.only_rare_sign_accuracy) == pytest.approx(right[-5:].mean(), abs=1e-6)


def assert_alignment(exp, at, h, W, y, train):
    """Largest products, filter by filter: of class 1 those that make the output of its row larger."""
    m, signed = exp.model.filters, exp.task.targets == "sign"
    for k in (0, 1):
        mine = range(2 * m) if signed else range(k * m, (k + 1) * m)
        mine = [j for j in mine if not signed or (j < m) == (k == 1)]
        for place, name, length in ((0, "common", 1.0), (1, "rare", 0.5)):
            axis, sign = (place, 2 * k - 1) if signed else (2 * place + k, 1)
            products = sign * length * W[mine, axis]
            expected = max(products) if exp.model.rectified else max(abs(products))
            found = at.feature_alignment.sel(row_class=k, feature=name)
            np.testing.assert_allclose(found, expected, rtol=1e-9)
    held = []
    for row in train:
        k = int(y[row, 0] > 0) if signed else int(y[row])
        mine = slice(0, m) if (k == 1 if signed else k == 0) else slice(m, 2 * m)
        noise = h[row, mine, -2:]
        held.append(noise.max() if exp.model.rectified else np.abs(noise).max())
    np.testing.assert_allclose(at.noise_alignment, np.mean(held), rtol=1e-9)


@pytest.mark.usefixtures("x64")
def test_patches_of_an_image_are_its_squares_side_by_side():
    model = gd.Patches(size=2, filters=1)
    x = np.random.default_rng(0).normal(size=(2, 4, 6, 3))
    expected = [x[r, i : i + 2, j : j + 2].ravel() for r in range(2) for i in (0, 2) for j in (0, 2, 4)]
    np.testing.assert_array_equal(np.asarray(model.patches(x)).reshape(-1, 12), expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"task": gd.XorClusters(dimension=9, points=30)},
            r"model.kind: got inputs that are no images; allowed: a task of",
        ),
        ({"model.size": 2}, r"model.size: got 2; allowed: a divisor of both sides of a 1 x 4 image"),
        (
            {"task": SIGNED, "loss": gd.MSE()},
            r"probes\[0\].kind: got no filter that votes for class 0; allowed: opposed",
        ),
        ({"model": gd.MLP()}, r"probes\[0\].kind: got feature_alignment; allowed: another probe, or patches of size 1"),
        ({"probes": ("residual",)}, r"probes\[0\].kind: got no single real target; allowed: a task of one real target"),
    ],
)
def test_what_does_not_fit_is_told(changes, message):
    with pytest.raises(gd.SpecError, match=message):
        gd.run(experiment("classes", probes=("feature_alignment",)).replace(**changes), progress=False)
