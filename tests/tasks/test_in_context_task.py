"""Prompts: their laws, what is hidden, what is padding, what is refused."""

import jax
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.tasks.in_context import shortened

pytestmark = pytest.mark.usefixtures("x64")
TASK = gd.InContextRegression(dimension=3, pairs=4, prompts=20_000, noise_std=0.5)


def drawn(task, key=0, rows=None):
    def table():
        return task.draw(jax.random.key(key)) if rows is None else task.sample(None, jax.random.key(key), rows)

    x, y = jax.device_get(jax.jit(table)())
    return x.astype(float), y.astype(float)


def test_a_prompt_is_a_noisy_linear_function_of_its_own_and_a_query_without_its_value():
    """Five standard errors of the variances; least squares of 3 weights on 5 pairs leaves 2 times the noise's."""
    x, target = drawn(TASK)
    assert np.all(x[:, -1, -1] == 0)
    shown = x.copy()
    shown[:, -1, -1] = target[:, 0]
    X, y = shown[..., :-1], shown[..., -1]
    assert abs(np.mean(X**2) - 1) < 5 * np.sqrt(2 / X.size)
    w = np.linalg.solve(X.swapaxes(1, 2) @ X, X.swapaxes(1, 2) @ y[..., None])
    rest = np.sum((y - (X @ w)[..., 0]) ** 2, axis=1)
    assert abs(rest.mean() / (2 * 0.25) - 1) < 5 / np.sqrt(len(x))
    assert abs(np.mean(y[:, 0] ** 2) - 3.25) < 5 * np.std(y[:, 0] ** 2) / np.sqrt(len(x))
    exact, _ = drawn(TASK.replace(noise_std=0.0, prompts=5))
    assert np.linalg.matrix_rank(exact[0, :-1], tol=1e-5) == 3


def test_prompts_of_training_have_numbers_of_pairs_drawn_uniformly():
    task = TASK.replace(train_pairs=(1, 3))
    x, _ = drawn(task, rows=6000)
    real = np.any(x != 0, axis=-1)
    assert np.all(np.diff(real.astype(int), axis=1) >= 0), "padding stands in front"
    counts = np.bincount(real.sum(1) - 1, minlength=5)
    assert counts[0] == counts[4] == 0
    assert np.all(np.abs(counts[1:4] / 2000 - 1) < 0.15)
    assert np.all(drawn(TASK, rows=10)[0][:, :-1, -1] != 0)
    assert not np.array_equal(drawn(task, 1, 10)[0], drawn(task, 2, 10)[0])


def test_the_last_pairs_are_left():
    x = np.arange(1.0, 25).reshape(2, 4, 3)
    assert np.array_equal(shortened(x, 3), x)
    found = np.asarray(shortened(x, np.array([0, 2])))
    assert not found[0, :3].any()
    assert not found[1, 0].any()
    assert np.array_equal(found[1, 1:], x[1, 1:])


BASE = gd.Experiment(
    task=TASK.replace(prompts=10),
    model=gd.Transformer(d_model=4, heads=1, d_mlp=0, positions="none"),
    loss=gd.MSE(),
    optimizer=gd.SGD(),
    steps=1,
    batch_size=2,
)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task.train_pairs": (2,)}, r"task\.train_pairs: got \[2\]; allowed: two numbers"),
        ({"task.train_pairs": (3, 2)}, r"task\.train_pairs: got \[3, 2\]; allowed: two numbers"),
        ({"task.train_pairs": (2, 5)}, r"task\.train_pairs: got \[2, 5\]; allowed: two numbers, .* up to 4"),
        ({"model": gd.Encoder()}, r"model\.kind: got inputs that are no tokens"),
        ({"model.tied": True}, r"model\.tied: got True; allowed: false: inputs are no tokens"),
        ({"model.repeats": 2, "model.re_embed": True}, r"model\.re_embed: got True; allowed: false: inputs are no"),
        ({"probes": (gd.InContext(lengths=(2, 5)),)}, r"probes\[0\]\.lengths: got \[2, 5\]; allowed: numbers up to 4"),
        ({"probes": (gd.AttentionEntropy(),)}, r"probes\[0\]\.kind: got Transformer"),
    ],
)
def test_mistakes_are_told(changes, message):
    with pytest.raises(gd.SpecError, match=message):
        gd.run(BASE.replace(**changes))
