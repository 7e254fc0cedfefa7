"""Probes of the edge of numerical stability against brute force in numpy, row by row and entry by entry."""

import numpy as np
import pytest

import grokdyn as gd
from tests.train.lanes import recorded

P, HIDDEN, RATE = 7, 12, 0.5
TENSORS = ("W_0", "W_1")
PROBES = (
    gd.Loss(),
    gd.SoftmaxCollapse(),
    gd.ZeroTerms(),
    gd.ClassSum(),
    gd.NLMAlignment(),
    gd.AbsorbedUpdates(),
    gd.LogitScale(),
    gd.GradientNorm(),
)
EXPERIMENT = gd.Experiment(
    task=gd.ModularArithmetic(op="add", p=P),
    model=gd.MLP(hidden=(HIDDEN,), activation="square"),
    loss=gd.CrossEntropy(),
    optimizer=gd.SGD(learning_rate=RATE),
    steps=1,
    record=gd.At((0,)),
    probes=PROBES,
)
ROWS = np.random.default_rng(1).permutation(P * P)[:30]


def network(scale, dtype=np.float64):
    """Return parameters that give the sum of two residues, with logits that grow from row to row."""
    rng = np.random.default_rng(0)
    params = {"W_0": rng.normal(size=(2 * P, HIDDEN)), "W_1": rng.normal(size=(HIDDEN, P))}
    return {name: (scale * w).astype(dtype) for name, w in params.items()}


def start(params):
    return gd.Start(params=params, train_rows=ROWS)


# Each compiled as for users takes seconds: those tests measure what they are about.
COLLAPSE = (gd.SoftmaxCollapse(), gd.ZeroTerms())


def measured(params, **changes):
    return gd.run(EXPERIMENT.replace(**changes), start=start(params)).isel(step=0)


def seen(params, **changes):
    """Return the same of a program that does not train, where no bits hang on what is compiled with them."""
    return recorded(EXPERIMENT.replace(**changes), start(params))[1]


def inputs():
    table = EXPERIMENT.task.table()
    one_hot = np.concatenate([np.eye(P)[table.inputs[:, 0]], np.eye(P)[table.inputs[:, 1]]], axis=1)
    return one_hot[ROWS], table.labels[ROWS]


def forward(params):
    x, _ = inputs()
    return (x @ params["W_0"]) ** 2 @ params["W_1"]


def slope(z, y):
    """Return the gradient of the mean cross-entropy in the logits, and the losses of rows."""
    e = np.exp(z - z.max(1, keepdims=True))
    total = e.sum(1, keepdims=True)
    losses = np.log(total[:, 0]) - (z - z.max(1, keepdims=True))[np.arange(len(y)), y]
    return (e / total - np.eye(P)[y]) / len(y), losses


def gradient(params):
    x, y = inputs()
    pre = x @ params["W_0"]
    outer = slope(pre**2 @ params["W_1"], y)[0]
    return {"W_0": x.T @ ((outer @ params["W_1"].T) * 2 * pre), "W_1": (pre**2).T @ outer}


def cosine(a, b):
    return np.sum(a * b) / np.sqrt(np.sum(a * a) * np.sum(b * b))


def joined(tree):
    return np.concatenate([tree[name].ravel() for name in TENSORS])


def per_tensor(of):
    return [of(name) for name in TENSORS]


def test_alignment_is_that_of_vectors():
    params = network(0.6)
    decay = 0.7
    wide = gd.CrossEntropy(precision="float64")
    found = seen(params, dtype="float64", loss=wide, **{"optimizer.weight_decay": decay})
    g = gradient(params)
    u = {name: -RATE * (g[name] + decay * params[name]) for name in TENSORS}
    np.testing.assert_allclose(found.nlm_gradient, cosine(-joined(g), joined(params)), rtol=1e-10)
    np.testing.assert_allclose(found.nlm_update, cosine(joined(u), joined(params)), rtol=1e-10)
    for name, tree, sign in (("nlm_gradient", g, -1), ("nlm_update", u, 1)):
        exact = per_tensor(lambda t, tree=tree, sign=sign: cosine(sign * tree[t], params[t]))
        np.testing.assert_allclose(found[f"{name}_per_tensor"], exact, rtol=1e-10)
    # The change of the logits along the update, by central differences.
    h = 1e-6
    f = forward(params)
    moved = [forward({name: params[name] + side * h * u[name] for name in TENSORS}) for side in (1, -1)]
    df = (moved[0] - moved[1]) / (2 * h)
    growth = np.sum(df * f) / np.sum(f * f)
    np.testing.assert_allclose(found.logit_growth, growth, rtol=1e-7)
    np.testing.assert_allclose(found.logit_scaling_share, np.sum((growth * f) ** 2) / np.sum(df**2), rtol=1e-7)
    assert found.logit_growth.attrs["units"] == "1/step"


def test_an_update_along_the_weights_only_scales_a_homogeneous_network():
    """Weight decay alone moves along -w; a product of three factors then shrinks threefold."""
    params = network(0.01)
    found = seen(params, dtype="float64", loss=gd.MSE(), **{"optimizer.weight_decay": 1e12})
    np.testing.assert_allclose(found.nlm_update, -1, rtol=1e-9)
    np.testing.assert_allclose(found.logit_scaling_share, 1, rtol=1e-9)
    np.testing.assert_allclose(found.logit_growth, -3 * RATE * 1e12, rtol=1e-6)


def test_a_vector_of_zeros_has_no_direction():
    params = {name: 0 * w for name, w in network(1.0).items()}
    found = seen(params, dtype="float64")
    assert np.isnan(found.nlm_gradient)
    assert np.isnan(found.logit_scaling_share)


def narrow_sums(z, dtype):
    """Return sums of exponentials of every row, each term rounded, in the dtype."""
    z = z.astype(dtype)
    terms = np.exp((z - z.max(1, keepdims=True)).astype(dtype)).astype(dtype)
    return terms.astype(np.float32 if dtype == np.float16 else dtype).sum(1).astype(dtype)


@pytest.mark.as_users
@pytest.mark.parametrize("precision", ["float16", "float32", "float64"])
def test_collapse_and_zero_terms_are_counted_row_by_row(precision):
    params = network(1.3, np.float32)
    found = measured(params, probes=COLLAPSE, **{"loss.precision": precision})
    z = forward({name: w.astype(np.float64) for name, w in params.items()})
    y = inputs()[1]
    collapsed = narrow_sums(z, np.dtype(precision)) == 1
    right = z.argmax(1) == y
    assert 3 <= collapsed.sum() <= 27
    assert collapsed.sum() > (collapsed & right).sum() > 0, "collapse does not ask whether the row is right"
    np.testing.assert_allclose(found.softmax_collapse, collapsed.mean(), rtol=1e-12)
    np.testing.assert_allclose(found.zero_loss, (collapsed & right).mean(), rtol=1e-12)
    np.testing.assert_allclose(found.zero_label_gradient, (collapsed & right).mean(), rtol=1e-12)


@pytest.mark.as_users
@pytest.mark.parametrize("precision", ["float16", "float64"])
def test_collapse_can_be_asked_for_in_another_precision(precision):
    params = network(1.3, np.float32)
    found = measured(params, loss=gd.MSE(), probes=(gd.SoftmaxCollapse(precision=precision),))
    z = forward({name: w.astype(np.float64) for name, w in params.items()})
    np.testing.assert_allclose(found.softmax_collapse, np.mean(narrow_sums(z, np.dtype(precision)) == 1), rtol=1e-12)


@pytest.mark.as_users
def test_collapse_of_a_loss_without_softmax_is_that_of_its_logits():
    params = network(1.3, np.float32)
    found = measured(params, probes=COLLAPSE, loss=gd.StableMaxCrossEntropy())
    z = forward({name: w.astype(np.float64) for name, w in params.items()})
    np.testing.assert_allclose(found.softmax_collapse, np.mean(narrow_sums(z, np.dtype(np.float32)) == 1), rtol=1e-12)
    assert found.zero_loss == 0


@pytest.mark.as_users
def test_absorbed_updates_and_zero_gradients_are_counted_entry_by_entry():
    """At this rate some updates are below half a unit of the weight, and rows unseen in training have no gradient."""
    rate, params = 2e-5, network(0.6, np.float32)
    unseen = ROWS[(ROWS // P != 3)]
    changes = {"optimizer.learning_rate": rate, "dtype": "float32", "probes": (gd.AbsorbedUpdates(),)}
    experiment = EXPERIMENT.replace(**changes)
    found = gd.run(experiment, start=gd.Start(params=params, train_rows=unseen)).isel(step=0)
    wide = {name: w.astype(np.float64) for name, w in params.items()}
    x, y = inputs()
    x, y = x[ROWS // P != 3], y[ROWS // P != 3]
    pre = x @ wide["W_0"]
    outer = slope(pre**2 @ wide["W_1"], y)[0]
    g = {"W_0": x.T @ ((outer @ wide["W_1"].T) * 2 * pre), "W_1": (pre**2).T @ outer}
    absorbed, zero, doubtful = {}, {}, {}
    for name, w in params.items():
        u = (-rate * g[name]).astype(np.float32)
        absorbed[name] = w + u == w
        zero[name] = g[name] == 0
        # Whether an update of just half a unit is absorbed hangs on its own last bits.
        doubtful[name] = np.abs(np.abs(u) / np.spacing(np.abs(w)) - 0.5) < 1e-3
    assert 0.05 < joined(absorbed).mean() < 0.9
    assert zero["W_0"].mean() == HIDDEN / zero["W_0"].size
    for name, exact, slack in (("absorbed_updates", absorbed, doubtful), ("zero_gradient", zero, None)):
        allowed = joined(slack).mean() if slack else 0
        np.testing.assert_allclose(found[name], joined(exact).mean(), rtol=1e-12, atol=allowed)
        each = per_tensor(lambda t, exact=exact: exact[t].mean())
        np.testing.assert_allclose(found[f"{name}_per_tensor"], each, rtol=1e-12, atol=4 * allowed)


def test_logit_scale_is_over_train_rows_and_classes():
    params = network(0.6)
    found = seen(params, dtype="float64")
    z = forward(params)
    np.testing.assert_allclose(found.logit_mean_abs, np.abs(z).mean(), rtol=1e-12)
    np.testing.assert_allclose(found.logit_max_abs, np.abs(z).max(), rtol=1e-12)
    spread = np.sqrt(np.mean((z - z.mean(1, keepdims=True)) ** 2))
    np.testing.assert_allclose(found.logit_spread, spread, rtol=1e-12)


@pytest.mark.as_users
def test_the_gradient_of_a_collapsed_row_has_a_sum_over_classes():
    """Rows that all have a margin above 18 keep, in float32, the gradients of their wrong logits only."""
    z = forward(network(1.0))
    margins = np.diff(np.sort(z, 1)[:, -2:], axis=1)
    scale = (18 / margins.min()) ** (1 / 3)  # logits are cubic in the parameters
    z = z * scale**3
    wrong = np.sort(np.exp(z - z.max(1, keepdims=True)), 1)[:, :-1].sum(1)
    for dtype, size, balanced in (("float32", 1.0, False), ("float64", 1.0, True), ("float32", 0.5, True)):
        given = gd.Start(params=network(scale * size, dtype), train_rows=ROWS, train_labels=z.argmax(1))
        changed = EXPERIMENT.replace(dtype=dtype, loss=gd.CrossEntropy(precision=dtype), probes=(gd.ClassSum(),))
        found = gd.run(changed, start=given).isel(step=0)
        if balanced:
            assert found.logit_gradient_imbalance < 1e-5
        else:
            np.testing.assert_allclose(found.logit_gradient_imbalance, 1)
            np.testing.assert_allclose(found.logit_gradient_sum, wrong.max() / len(z), rtol=1e-3)
