"""Layers trained one after another: two ridge regressions, each on rows of its own, in closed form."""

import jax
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.tasks.streams import split_keys

RIDGE, N, M, D = 0.05, 12, 6, 3
TASK = gd.HierarchicalPolynomial(dimension=D, points=80, train_points=40)
MODEL = gd.Bottleneck(width=N, outer_width=M, activation="square", draw=2)
FIRST = gd.Experiment(
    task=TASK,
    model=MODEL,
    loss=gd.MSE(),
    optimizer=gd.Groups(
        inner=gd.SGD(learning_rate=0.1, momentum=0.9, weight_decay=2 * RIDGE),
        groups=(gd.Group(match="c", learning_rate=0.0),),
    ),
    steps=1500,
    record=gd.At((0, 1500)),
    snapshots=(1500,),
    probes=("loss", "unexplained", "inner_polynomial", gd.KernelRidge(ridges=(RIDGE, 0.5), degree=3)),
    dtype="float64",
)
SECOND = {
    "steps": 3000,
    "record": gd.At((1500, 3000)),
    "snapshots": (3000,),
    "probes": ("loss",),
    "task.redraw": 1,
    "optimizer": gd.SGD(learning_rate=0.1, momentum=0.9, weight_decay=2 * RIDGE),
}
APPLY = (gd.Forget(), gd.Freeze(tensors=["u"]))


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    out = tmp_path_factory.mktemp("stages")
    one = gd.run(FIRST, out=out / "one", progress=False)
    return out, one, gd.fork(out / "one", change=SECOND, apply=APPLY, out=out / "two", progress=False)


def rows(task):
    """Return inputs, targets and p of the train and of the test rows of the run."""
    with jax.enable_x64(True):
        x, y, p, order = jax.device_get(drawn(FIRST.replace(probes=()), task))
    return [tuple(np.asarray(a, np.float64)[i] for a in (x, y[:, 0], p)) for i in (order[:40], order[40:])]


@jax.jit
def drawn(experiment, task):
    split_key, key = split_keys(experiment)
    x, y = task.draw(key)
    return x, y, task.inner(task.rule(key), x), jax.random.permutation(split_key, jax.numpy.arange(80, dtype="int32"))


def ridge(features, y, penalty=RIDGE):
    return np.linalg.solve(
        features.T @ features / len(y) + penalty * np.eye(features.shape[1]), features.T @ y / len(y)
    )


def constants():
    with jax.enable_x64(True):
        return jax.device_get(jax.jit(type(MODEL).constants, static_argnums=1)(MODEL, D))


def inner(x):
    V, s, _ = constants()
    return (x @ V + s) ** 2 / N**0.5


def outer(q):
    a = np.where(np.arange(M) % 2 == 0, 1, -1)
    return np.maximum(q[:, None] * a + constants()[2], 0) / M**0.5


def test_each_stage_ends_at_its_ridge_regression(stages):
    out, one, two = stages
    (x, y, _), (far, wanted, p) = rows(TASK)
    u = ridge(inner(x), y)
    np.testing.assert_allclose(gd.params(out / "one", 0)["u"][:, 0], u, atol=1e-8)
    assert not gd.params(out / "one", 0)["c"].any()
    q = inner(far) @ u
    last = one.isel(step=-1)
    np.testing.assert_allclose(last.test_loss, np.mean((q - wanted) ** 2), rtol=1e-6)
    np.testing.assert_allclose(last.test_unexplained, np.mean((q - wanted) ** 2) / wanted.var(), rtol=1e-6)
    np.testing.assert_allclose(last.inner_correlation, np.corrcoef(q, p)[0, 1], rtol=1e-6)
    (x, y, _), (far, wanted, _) = rows(TASK.replace(redraw=1))
    found = gd.params(out / "two", 0)
    np.testing.assert_array_equal(found["u"], gd.params(out / "one", 0)["u"])
    c = ridge(outer(inner(x) @ u), y - inner(x) @ u)
    np.testing.assert_allclose(found["c"][:, 0], c, atol=1e-6)
    q = inner(far) @ u
    np.testing.assert_allclose(two.test_loss[-1], np.mean((q + outer(q) @ c - wanted) ** 2), rtol=1e-5)


def test_kernel_ridge_is_that_of_numpy_at_every_record(stages):
    found = stages[1].kernel_ridge_unexplained
    (x, y, _), (far, wanted, _) = rows(TASK)
    for penalty in (RIDGE, 0.5):
        K = (1 + x @ x.T / D) ** 3 + 40 * penalty * np.eye(40)
        f = y.mean() + (1 + far @ x.T / D) ** 3 @ np.linalg.solve(K, y - y.mean())
        expected = np.mean((f - wanted) ** 2) / wanted.var()
        np.testing.assert_allclose(found.sel(ridge=penalty), expected, rtol=1e-9)


def test_who_forgets_begins_as_at_step_0_and_may_be_of_another_kind(stages, tmp_path):
    out, *_ = stages
    adam = gd.Adam(learning_rate=0.01)
    change = {**SECOND, "optimizer": adam, "steps": 1501, "record": gd.At((1500, 1501)), "snapshots": (1501,)}
    with pytest.raises(gd.SpecError, match="got 'adam'; allowed: one that goes on with what groups"):
        gd.fork(out / "one", change=change, out=tmp_path / "no", progress=False)
    assert not (tmp_path / "no").exists()
    gd.fork(out / "one", change=change, apply=gd.Forget(), out=tmp_path / "s", progress=False)
    # Adam's first update is the rate times the gradient's sign.
    before, after = gd.params(out / "one", 0), gd.params(tmp_path / "s", 0)
    for name in ("u", "c"):
        np.testing.assert_allclose(np.abs(after[name] - before[name]), 0.01, rtol=1e-4)
