"""Lanczos and Hutchinson on matrices whose spectrum is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from grokdyn.curvature.lanczos import hutchinson, lanczos

pytestmark = pytest.mark.usefixtures("x64")
SIZE = 12
SPECTRA = {
    "indefinite": np.array([-9.0, *np.linspace(-1, 1, SIZE - 2), 4.0]),
    "low rank": np.array([0.0] * (SIZE - 2) + [3.0, 7.0]),
    "all the same": np.full(SIZE, 2.5),
    "zero": np.zeros(SIZE),
}


def matrix(values):
    """Return a dense symmetric matrix of a spectrum, in a random basis."""
    Q = np.linalg.qr(np.random.default_rng(0).normal(size=(SIZE, SIZE)))[0]
    return (Q * values) @ Q.T


@pytest.mark.parametrize("name", SPECTRA)
def test_as_many_iterations_as_dimensions_give_every_eigenvalue(name):
    H = jnp.asarray(matrix(SPECTRA[name]))
    found = jax.jit(lambda key: lanczos(lambda v: H @ v, key, SIZE, 50, "float64"))(jax.random.key(0))
    np.testing.assert_allclose(found, np.sort(SPECTRA[name]), atol=1e-12)


def test_a_matrix_of_one_number_is_its_eigenvalue():
    np.testing.assert_allclose(lanczos(lambda v: -3.0 * v, jax.random.key(0), 1, 10, "float64"), [-3.0])


def test_few_iterations_find_both_ends_from_inside():
    H = jnp.asarray(matrix(SPECTRA["indefinite"]))
    found = lanczos(lambda v: H @ v, jax.random.key(1), SIZE, 5, "float64")
    assert found.shape == (5,)
    assert -9 <= found[0] < -8.9
    assert 3.8 < found[-1] <= 4


def test_the_trace_is_within_its_error_and_exact_for_a_diagonal():
    H = jnp.asarray(matrix(SPECTRA["indefinite"]))
    trace, error = hutchinson(lambda v: H @ v, jax.random.key(0), SIZE, 400, "float64")
    assert abs(trace - SPECTRA["indefinite"].sum()) < 4 * error
    # Of one sample the variance is twice the squares off the diagonal.
    expected = np.sqrt(2 * np.sum(np.asarray(H - jnp.diag(jnp.diag(H))) ** 2) / 400)
    assert 0.8 < error / expected < 1.2
    exact, none = hutchinson(lambda v: jnp.arange(SIZE) * v, jax.random.key(0), SIZE, 3, "float64")
    np.testing.assert_allclose((exact, none), (66, 0), atol=1e-12)
