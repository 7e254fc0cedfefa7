"""The learning coefficient where it is known: quadratics exactly, singular losses by quadrature."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from grokdyn.curvature.sgld import learning_coefficient, split_rhat

pytestmark = pytest.mark.usefixtures("x64")


def estimated(loss, params, **changes):
    settings = {"draws": 5000, "chains": 10, "burn_in": 1000, "step_size": 4e-4, "n_beta": 150.0, "localisation": 0.0}
    settings |= changes
    found = jax.jit(lambda key: learning_coefficient(jax.value_and_grad(loss), params, key, **settings))(
        jax.random.key(0)
    )
    return np.mean(found), np.std(found, ddof=1) / np.sqrt(len(found))


def test_a_regular_minimum_has_half_its_dimensions():
    """The chain of a quadratic is Gaussian: with a = step n_beta c / 2 its coefficient is (d/2) / (1 - a/2)."""
    c, d, step, n_beta = 2.0, 6, 1e-3, 150.0
    params = {"a": jnp.ones(4), "b": jnp.zeros((2, 1))}

    def loss(w):
        return 0.5 * c * (jnp.sum(jnp.square(w["a"] - 1)) + jnp.sum(jnp.square(w["b"]))) + 7.0

    mean, error = estimated(loss, params, step_size=step, n_beta=n_beta)
    assert abs(mean - d / 2 / (1 - step * n_beta * c / 4)) < 4 * error
    assert abs(mean - d / 2) < 0.1 * d / 2
    assert error < 0.1


def product_loss(powers):
    return lambda w: (w[0] ** powers[0] * w[1] ** powers[1]) ** 2


@pytest.mark.parametrize("powers", [(1, 2), (3, 3)])
def test_the_mean_is_that_of_quadrature(powers):
    """In equilibrium, with a pull that keeps the chains where the loss is singular."""
    n_beta, pull, loss = 1000.0, 5.0, product_loss(powers)
    mean, error = estimated(loss, jnp.zeros(2), n_beta=n_beta, localisation=pull, draws=20_000)
    u = np.linspace(-3, 3, 2401)
    w = np.stack(np.meshgrid(u, u))
    weight = np.exp(-n_beta * loss(w) - pull * np.sum(w**2, axis=0) / 2)
    exact = n_beta * np.sum(weight * loss(w)) / np.sum(weight)
    assert abs(mean - exact) < 4 * error + 0.02 * exact


@pytest.mark.parametrize(("powers", "expected"), [((0, 1), 1 / 2), ((1, 2), 1 / 4), ((2, 2), 1 / 4), ((3, 3), 1 / 6)])
def test_singular_minima_have_less_than_half_their_dimensions(powers, expected):
    """L = (w_1^k1 w_2^k2)^2 has min 1/(2k). Where both k are equal it is reached from below, as 1 over a logarithm."""
    mean, error = estimated(product_loss(powers), jnp.zeros(2), n_beta=145.0, step_size=1e-4, draws=60_000, burn_in=0)
    assert abs(mean / expected - 1) < 0.4
    assert mean < expected + 4 * error


@pytest.mark.parametrize("draws", [4, 7, 50])
def test_rhat_is_the_textbooks(draws):
    """Chains of different means, in halves; the middle of an odd number of draws is in none."""
    half = draws // 2
    values = np.random.default_rng(0).normal(size=(3, draws)) + np.array([[0.0], [1.0], [5.0]])
    parts = np.concatenate([values[:, :half], values[:, draws - half :]])
    within = np.mean(np.var(parts, axis=1, ddof=1))
    pooled = (half - 1) / half * within + np.var(parts.mean(1), ddof=1)
    sums = jnp.stack([parts.sum(1), (parts**2).sum(1)], axis=1)
    np.testing.assert_allclose(split_rhat(sums, half), np.sqrt(pooled / within), rtol=1e-10)


def test_rhat_of_too_few_draws_is_nan():
    assert np.isnan(split_rhat(jnp.ones((4, 2)), 1))
