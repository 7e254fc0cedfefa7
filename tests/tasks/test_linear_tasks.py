"""Linear tasks: how their teachers lie to each other, and what their parts are."""

import jax
import numpy as np
import pytest

import grokdyn as gd

pytestmark = pytest.mark.usefixtures("x64")
TASK = gd.LinearTasks(dimension=7, rows=400, order=(2, 1, 3, 2), similarity=-0.4, noise_std=0.5)


def drawn(task):
    found = jax.jit(task.draw)(jax.random.key(3))
    part = task.membership()
    return {name: (np.asarray(found.inputs)[part == name], np.asarray(found.labels)[part == name, 0]) for name in part}


def test_unseen_rows_tell_teachers_whose_cosines_are_as_asked():
    found = drawn(TASK)
    W = np.stack([found[f"{name}_unseen"][1] for name in TASK.names]) / 7**0.5
    expected = np.where(np.equal.outer(TASK.order, TASK.order), 1, -0.4)
    np.testing.assert_allclose(W @ W.T, expected, atol=1e-6)
    w = np.arange(7.0)
    for one, name in zip(W, TASK.names, strict=True):
        x, y = found[f"{name}_unseen"]
        np.testing.assert_allclose(np.mean((x @ w - y) ** 2), np.sum((w - one) ** 2), rtol=1e-5)


def test_train_rows_are_of_their_teacher_and_of_no_other_task():
    found = drawn(TASK)
    for name in TASK.names:
        x, y = found[name]
        noise = y - x @ found[f"{name}_unseen"][1] / 7**0.5
        assert abs(noise.std() - 0.5) < 4 * 0.5 / 800**0.5
        assert np.all(np.abs(x.T @ x / 400 - np.eye(7)) < 5 * (2 / 400) ** 0.5)
    assert not np.intersect1d(found["first"][0], found["fourth"][0]).size


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"similarity": -0.6}, "similarity: got -0.6; allowed: from -0.5 on, for 3 teachers"),
        ({"dimension": 2}, "dimension: got 2; allowed: at least 3, the number of teachers"),
        ({"order": (1,) * 11}, "order: got .*; allowed: at most 10 tasks"),
    ],
)
def test_teachers_that_there_cannot_be_are_refused(changes, words):
    task = TASK.replace(**changes)
    made = gd.Experiment(task=task, model=gd.MLP(hidden=()), loss=gd.MSE(), optimizer=gd.SGD(), steps=1)
    with pytest.raises(gd.SpecError, match=words):
        gd.run(made)
