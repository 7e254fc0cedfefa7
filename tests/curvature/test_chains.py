"""The learning coefficient where it is known: quadratics exactly, singular losses by quadrature."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from grokdyn.curvature.chains import Settings, learning_coefficient, sampled, split_rhat
from grokdyn.curvature.hamiltonian import normal_like

pytestmark = pytest.mark.usefixtures("x64")


def estimated(loss, params, **changes):
    settings = Settings(draws=5000, chains=10, burn_in=1000, step_size=4e-4, n_beta=150.0, localisation=0.0)
    settings = settings._replace(**changes)
    found = jax.jit(lambda key: learning_coefficient(jax.value_and_grad(loss), params, key, settings))(
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


PLAIN, TESTED = {"draws": 20_000}, {"leaps": 5, "draws": 2000, "burn_in": 500, "adapts": True}


@pytest.mark.parametrize(("powers", "sampler"), [((1, 2), PLAIN), ((3, 3), PLAIN), ((3, 3), TESTED)])
def test_the_mean_is_that_of_quadrature(powers, sampler):
    """In equilibrium, with a pull that keeps the chains where the loss is singular."""
    n_beta, pull, loss = 1000.0, 5.0, product_loss(powers)
    mean, error = estimated(loss, jnp.zeros(2), n_beta=n_beta, localisation=pull, **sampler)
    u = np.linspace(-3, 3, 2401)
    w = np.stack(np.meshgrid(u, u))
    weight = np.exp(-n_beta * loss(w) - pull * np.sum(w**2, axis=0) / 2)
    exact = n_beta * np.sum(weight * loss(w)) / np.sum(weight)
    assert abs(mean - exact) < 4 * error + 0.02 * exact


SINGULAR = {(0, 1): 1 / 2, (1, 2): 1 / 4, (2, 2): 1 / 4, (3, 3): 1 / 6}


@pytest.fixture(scope="module")
def singular():
    """Return the coefficients of all chains of every singular loss, drawn together."""
    settings = Settings(draws=60_000, chains=10, burn_in=0, step_size=1e-4, n_beta=145.0, localisation=0.0)

    @jax.jit
    @jax.vmap
    def coefficients(powers):
        def loss(w):
            return (jnp.stack([jnp.ones(2), w, w**2, w**3])[powers, jnp.arange(2)].prod()) ** 2

        return learning_coefficient(jax.value_and_grad(loss), jnp.zeros(2), jax.random.key(0), settings)

    with jax.enable_x64(True):
        return dict(zip(SINGULAR, np.asarray(coefficients(np.asarray(list(SINGULAR)))), strict=True))


@pytest.mark.parametrize("powers", SINGULAR)
def test_singular_minima_have_less_than_half_their_dimensions(powers, singular):
    """L = (w_1^k1 w_2^k2)^2 has min 1/(2k). Where both k are equal it is reached from below, as 1 over a logarithm."""
    found, expected = singular[powers], SINGULAR[powers]
    assert abs(found.mean() / expected - 1) < 0.4
    assert found.mean() < expected + 4 * np.std(found, ddof=1) / np.sqrt(len(found))


def transcribed(loss, slope, home, key, settings):
    """Return the losses of one chain, step by step in numpy, momenta and tests drawn as the sampler draws them."""
    n_beta, pull = settings.n_beta, settings.localisation

    def energy(w, p):
        return n_beta * loss(w) + pull * np.sum((w - home) ** 2) / 2 + np.sum(p**2) / 2

    w, e, average, error, traces = np.array(home), np.sqrt(settings.step_size), np.sqrt(settings.step_size), 0.0, []
    first = e
    for i in range(settings.burn_in + settings.draws):
        keys = jax.random.split(jax.random.fold_in(key, i), 3)
        p = np.array(normal_like(keys[0], jnp.asarray(w)))
        length = (e if i < settings.burn_in else average) * np.array(jax.random.uniform(keys[2], (), None, 0.8, 1.2))
        new, q = w, p
        for _ in range(settings.leaps):
            q = q - length / 2 * (n_beta * slope(new) + pull * (new - home))
            new = new + length * q
            q = q - length / 2 * (n_beta * slope(new) + pull * (new - home))
        accepted = min(1.0, np.exp(energy(w, p) - energy(new, q)))
        if np.array(jax.random.uniform(keys[1], ())) < accepted:
            w = new
        if i < settings.burn_in:
            count = i + 1
            error = (1 - 1 / (count + 10)) * error + (0.8 - accepted) / (count + 10)
            e = 10 * first * np.exp(-np.sqrt(count) / 0.05 * error)
            average = e ** (count**-0.75) * average ** (1 - count**-0.75)
        else:
            traces.append(n_beta * (loss(w) - loss(home)))
    return np.array(traces)


def test_hamiltonian_chains_are_their_transcription():
    """A loss that is no quadratic, around a point that is no minimum; the step is tuned on the way."""
    settings = Settings(6, 2, 5, 0.01, n_beta=20.0, localisation=2.0, leaps=3, adapts=True)
    home, key = np.array([0.5, -0.2, 0.1]), jax.random.key(3)

    def loss(w):
        return (w[0] * w[1] - w[2]) ** 2 + 0.1 * w[0] ** 4

    def slope(w):
        r = 2 * (w[0] * w[1] - w[2])
        return np.array([r * w[1] + 0.4 * w[0] ** 3, r * w[0], -r])

    found = jax.jit(lambda key: sampled(jax.value_and_grad(loss), jnp.asarray(home), key, settings))(key)
    expected = [transcribed(loss, slope, home, key, settings) for key in jax.random.split(key, 2)]
    np.testing.assert_allclose(found.traces, expected, rtol=1e-8, atol=1e-10)
    assert 0 < found.acceptance <= 1


@pytest.mark.parametrize("draws", [4, 7, 50])
def test_rhat_is_the_textbooks(draws):
    """Chains of different means, in halves; the middle of an odd number of draws is in none."""
    half = draws // 2
    values = np.random.default_rng(0).normal(size=(3, draws)) + np.array([[0.0], [1.0], [5.0]])
    parts = np.concatenate([values[:, :half], values[:, draws - half :]])
    within = np.mean(np.var(parts, axis=1, ddof=1))
    pooled = (half - 1) / half * within + np.var(parts.mean(1), ddof=1)
    np.testing.assert_allclose(split_rhat(jnp.asarray(values)), np.sqrt(pooled / within), rtol=1e-10)


def test_rhat_of_too_few_draws_is_nan():
    assert np.isnan(split_rhat(jnp.ones((4, 3))))
