"""Harmonics on the circle: their kernel, their target, and what their test points tell."""

import jax
import numpy as np
import pytest

import grokdyn as gd

pytestmark = pytest.mark.usefixtures("x64")
TASK = gd.Harmonics(points=6, frequencies=8, exponent=1.3, target_exponent=0.7, noise_std=0.0)


def drawn(task, seed=0):
    found = jax.jit(task.draw)(jax.random.key(seed))
    x, y, part = (np.asarray(one) for one in (*found, task.membership()))
    return {name: (x[part == name], y[part == name, 0]) for name in ("train", "test")}


def angles(x):
    """Return where inputs are, from their first harmonic, cos and sin over the root of 2."""
    return np.arctan2(x[:, 1 + TASK.frequencies], x[:, 1])


def test_products_of_inputs_are_the_kernel_of_equispaced_points():
    x, _ = drawn(TASK)["train"]
    apart = np.subtract.outer(angles(x), angles(x))
    l = np.arange(1.0, 9)
    kernel = 1 + 2 * np.sum(l**-1.3 * np.cos(apart[..., None] * l), -1)
    np.testing.assert_allclose(x @ x.T, kernel, atol=1e-5)
    np.testing.assert_allclose(np.exp(6j * angles(x)), np.exp(6j * angles(x)[0]), atol=1e-5)


def test_targets_have_the_power_that_they_should_and_lie_within_the_features():
    found = drawn(TASK)
    x, y = found["test"]
    assert len(y) == 17
    l = np.arange(1.0, 9)
    np.testing.assert_allclose(np.mean(y.astype(float) ** 2), 1 + 2 * np.sum(l**-1.7), rtol=1e-5)
    w = np.linalg.solve(x.astype(float), y)
    np.testing.assert_allclose(found["train"][0] @ w, found["train"][1], atol=1e-4)
    np.testing.assert_allclose(w[0], 1, atol=1e-4)
    assert not np.allclose(w, np.linalg.solve(*map(np.asarray, drawn(TASK, 1)["test"])), atol=0.1)


def test_noise_is_on_train_targets_alone():
    noisy, clean = (drawn(TASK.replace(points=400, noise_std=s)) for s in (0.5, 0.0))
    noise = noisy["train"][1] - clean["train"][1]
    assert abs(noise.std() - 0.5) < 4 * 0.5 / 800**0.5
    np.testing.assert_array_equal(noisy["test"][1], clean["test"][1])
