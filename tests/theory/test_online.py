"""Online linear regression: its closed form against the mean of many runs, and one step taken apart."""

import numpy as np
import pytest

import grokdyn as gd
from grokdyn.theory.online import linear_error


@pytest.mark.parametrize("batch", [1, 4])
def test_one_update_has_its_mean_by_many_draws(batch):
    """Mean of |u|^2 after one update over 200,000 draws, within 4 standard errors."""
    rng, D, s, rate, noise = np.random.default_rng(0), 3, 0.7, 0.4, 0.3
    u = np.array([1.0, -0.5, 0.2])
    x = s * rng.standard_normal((200_000, batch, D))
    e = noise * rng.standard_normal((200_000, batch))
    after = u - rate * np.mean((x @ u - e)[..., None] * x, axis=1)
    found = s**2 * np.sum(after**2, axis=1) + noise**2
    told = linear_error(np.array([0, 1]), float(u @ u), rate, D, s**2, batch, noise)
    assert told[0] == s**2 * (u @ u) + noise**2
    assert abs(found.mean() - told[1]) < 4 * found.std() / np.sqrt(len(found))


def test_training_is_on_the_closed_form():
    """D = 20, 64 runs, batches of 2: the mean test error, over its first value, within 3 standard errors throughout."""
    experiment = gd.Experiment(
        task=gd.LinearTeacher(dimension=20, points=2000, noise_std=0.2, fresh=True),
        model=gd.MLP(hidden=(), init="normal", init_scale=0.5),
        loss=gd.MSE(),
        optimizer=gd.SGD(learning_rate=0.2),
        batch_size=2,
        steps=400,
        record=gd.Every(40),
        probes=("loss",),
    )
    ds = gd.run(gd.Sweep(experiment, {"seed": list(range(64))}), progress=False)
    told = linear_error(ds.step.values, 20 * (1 + 0.25), 0.4, 20, 1 / 20, 2, 0.2)
    mean, error = ds.test_loss.mean("seed"), ds.test_loss.std("seed", ddof=1) / 8
    assert np.all(np.abs(mean - told) < 3 * error)
    assert told[-1] < 0.2 * told[0]
