"""Points on the unit circle carry their harmonic."""

import jax
import numpy as np
import pytest

import grokdyn as gd

pytestmark = pytest.mark.usefixtures("x64")


drawn = jax.jit(lambda task, key: task.draw(key))


def test_rows_lie_on_the_circle_and_carry_the_harmonic():
    x, y = (
        np.asarray(part, float) for part in drawn(gd.Circle(points=4000, harmonic=3, amplitude=2.0), jax.random.key(0))
    )
    angle = np.arctan2(x[:, 1], x[:, 0])
    np.testing.assert_allclose(np.hypot(*x.T), 1, rtol=1e-6)
    np.testing.assert_allclose(y[:, 0], 2 * np.sin(3 * angle), atol=3e-6)
    # Uniform angles have no harmonics: their means are within 4 standard errors of 0.
    assert all(abs(np.mean(np.exp(1j * k * angle))) < 4 / 4000**0.5 for k in range(1, 5))


def test_the_default_is_the_product_of_the_two_inputs_and_noise_adds_to_it():
    clean, noisy = (drawn(gd.Circle(points=3000, noise_std=s), jax.random.key(1)) for s in (0.0, 0.3))
    np.testing.assert_allclose(clean.labels[:, 0], np.prod(clean.inputs, axis=1), atol=1e-6)
    np.testing.assert_array_equal(clean.inputs, noisy.inputs)
    assert abs(np.std(noisy.labels - clean.labels) - 0.3) < 4 * 0.3 / 6000**0.5
