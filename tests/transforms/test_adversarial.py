"""Adversarial training against a loop in numpy, and against what it is where the network is linear."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.train.transformed import step_key
from grokdyn.transforms.attacks import drawn
from tests import cases
from tests.train.lanes import taken_apart
from tests.transforms.test_transforms import batch

pytestmark = pytest.mark.usefixtures("x64")
D, N, STEPS, RATE = 3, 12, 4, 0.5


class Points(gd.Task):
    """Random points in a fixed table."""

    def signature(self):
        return gd.Signature(gd.Vectors(D), gd.Classes(2), rows=N)

    def table(self):
        x = np.random.default_rng(5).standard_normal((N, D))
        return gd.Table(x, x[:, 0] * x[:, 1] > 0)


TASK = Points(train_fraction=1.0)


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def through(W, x, y):
    """Return of a network of one tanh layer the gradient of the mean loss in W, and of every row's loss in x."""
    h = np.tanh(x @ W["W_0"])
    off = softmax(h @ W["W_1"]) - np.eye(2)[y]
    inner = (off @ W["W_1"].T) * (1 - h**2)
    return {"W_0": x.T @ inner / len(x), "W_1": h.T @ off / len(x)}, inner @ W["W_0"].T


def near(x, points, budget, norm):
    change = points - x
    if norm == "linf":
        return x + np.clip(change, -budget, budget)
    size = np.sqrt((change**2).sum(1, keepdims=True))
    return x + change * np.minimum(1, budget / np.maximum(size, 1e-300))


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_training_is_that_of_a_loop_in_numpy(norm):
    """The same start and first points; all else row by row, update by update."""
    transform = gd.Adversarial(budget=0.4, norm=norm, steps=3, step=0.6)
    experiment = cases.tiny(
        task=TASK,
        model=gd.MLP(hidden=(4,), activation="tanh"),
        loss=gd.CrossEntropy(precision="float64"),
        optimizer=gd.SGD(learning_rate=RATE),
        steps=STEPS,
        record=gd.Every(1),
        probes=(gd.Weights(entries=12),),
        transforms=(transform,),
        dtype="float64",
    )
    run = taken_apart(experiment)
    keep = np.asarray(run.rows.counts)
    x, y = np.asarray(run.rows.inputs, np.float64)[keep], np.asarray(run.rows.labels)[keep]
    rng = np.random.default_rng(6)
    W = {"W_0": rng.standard_normal((D, 4)), "W_1": rng.standard_normal((4, 2))}
    found = gd.run(experiment, start=gd.Start(params=W), progress=False)
    for step in range(STEPS):
        key = jax.random.fold_in(step_key(run.lane, jnp.int32(step)), 0)
        first = np.asarray(drawn(key, jnp.asarray(run.rows.inputs, jnp.float64), norm))[keep]
        points = near(x, x + 0.4 * first, 0.4, norm)
        for _ in range(3):
            slope = through(W, points, y)[1]
            along = np.sign(slope) if norm == "linf" else slope / np.sqrt((slope**2).sum(1, keepdims=True))
            points = near(x, points + 0.24 * along, 0.4, norm)
        g = through(W, points, y)[0]
        W = {name: w - RATE * g[name] for name, w in W.items()}
        np.testing.assert_allclose(found.weight.isel(step=step + 1), W["W_0"].ravel(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_a_linear_network_is_attacked_along_the_difference_of_its_weights(norm):
    rng = np.random.default_rng(0)
    W, rows = rng.standard_normal((3, 4)), batch(20)
    rows = rows._replace(logits=lambda x: x @ jnp.asarray(W[:, :2], x.dtype), targets=rows.targets % 2)
    one = gd.Adversarial(budget=0.5, norm=norm, steps=60, step=0.5)
    found = np.asarray(one.apply(rows, jax.random.key(0), jnp.int32(0)).inputs)
    away = np.where(np.asarray(rows.targets)[:, None] == 1, 1, -1) * (W[:, 0] - W[:, 1])
    unit = np.sign(away) if norm == "linf" else away / np.sqrt((away**2).sum(1, keepdims=True))
    np.testing.assert_allclose(found, np.asarray(rows.inputs) + 0.5 * unit, atol=1e-6)


def test_shares_of_classes_a_range_an_end_and_no_budget():
    rows = batch(20)._replace(logits=lambda x: jnp.tanh(x @ jnp.ones((3, 4), x.dtype) * jnp.arange(4.0)))
    shares = rows._replace(targets=jax.nn.one_hot(rows.targets, 4))
    one = gd.Adversarial(budget=0.5, steps=3, until=2)
    key = jax.random.key(1)
    by_class, by_share = (np.asarray(one.apply(r, key, jnp.int32(0)).inputs) for r in (rows, shares))
    np.testing.assert_allclose(by_class, by_share, atol=1e-5)
    assert np.array_equal(one.apply(rows, key, jnp.int32(2)).inputs, rows.inputs)
    assert np.array_equal(one.replace(budget=0.0).apply(rows, key, jnp.int32(0)).inputs, rows.inputs)
    inside = rows._replace(inputs=jnp.clip(rows.inputs, -1, 1))
    kept = one.replace(low=-1.0, high=1.0, norm="linf").apply(inside, key, jnp.int32(0)).inputs
    assert np.abs(kept).max() <= 1


def test_without_a_budget_a_run_has_its_bits():
    base = cases.tiny(task=TASK, steps=6, record=gd.At((6,)), probes=("loss",), batch_size=4)
    plain = gd.run(base, progress=False).train_loss.values
    none = gd.run(base.replace(transforms=(gd.Adversarial(budget=0.0),)), progress=False).train_loss.values
    np.testing.assert_allclose(plain, none, rtol=1e-6)


def test_what_does_not_fit_is_refused():
    for changes, told in (
        ({}, "attacks of tokens"),
        ({"task": gd.LinearTeacher(dimension=3, points=20), "loss": gd.MSE()}, "attacks on real targets"),
    ):
        with pytest.raises(gd.SpecError, match=told):
            gd.run(cases.tiny(transforms=(gd.Adversarial(),), **changes), progress=False)
    with pytest.raises(gd.SpecError, match=r"low: got 2.0; allowed: below high, 1"):
        gd.run(cases.tiny(task=TASK, transforms=(gd.Adversarial(low=2.0, high=1.0),)), progress=False)
