"""A polynomial of a polynomial: against NumPy, its moments, and rows of their own for every draw."""

import math

import jax
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.spec.errors import SpecError

pytestmark = pytest.mark.usefixtures("x64")
HERMITE = np.polynomial.hermite_e.hermeval


def drawn(task, seed=0):
    return jax.device_get(jax.jit(lambda key: (task.draw(key), task.rule(key)))(jax.random.key(seed)))


@pytest.mark.parametrize(("degree", "terms", "inputs"), [(1, 1, "gaussian"), (2, None, "sphere"), (3, 2, "gaussian")])
def test_targets_are_g_of_p(degree, terms, inputs):
    c = (0.9, -0.4, 0.3, 0.2)
    g = dict(zip(("linear", "quadratic", "cubic", "quartic"), c, strict=True))
    task = gd.HierarchicalPolynomial(dimension=4, points=50, degree=degree, terms=terms, inputs=inputs, **g)
    (x, y), v = drawn(task)
    x, L = x.astype(np.float64), terms or 4
    np.testing.assert_allclose(v.T @ v, np.eye(L), atol=1e-12)
    if inputs == "sphere":
        np.testing.assert_allclose((x**2).sum(1), 4, rtol=1e-6)
    he = HERMITE(x @ v, np.eye(degree + 1)[degree]) / math.sqrt(math.factorial(degree) * L)
    p = he @ (-1.0) ** np.arange(L)
    expected = sum(one / math.sqrt(math.factorial(j)) * HERMITE(p, np.eye(5)[j]) for j, one in enumerate(c, 1))
    np.testing.assert_allclose(y[:, 0], expected, rtol=2e-6, atol=1e-6)


def test_p_has_mean_0_and_variance_1_and_its_square_the_part_of_degree_2_that_is_told():
    """Means of 100,000 rows lie within 4 of their errors; E p^2 (|x|^2 - d) = 2/d E (|x|^2 - d)^2 = 4."""
    task = gd.HierarchicalPolynomial(dimension=4, points=100_000)
    (x, _), v = drawn(task)
    x = x.astype(np.float64)
    p, radius = np.asarray(task.inner(v, x)), (x**2).sum(1) - 4

    def near(values, expected):
        return abs(values.mean() - expected) < 4 * values.std() / len(values) ** 0.5

    assert near(p, 0)
    assert near(p**2, 1)
    assert near(p**2 * radius, 2 / 4 * 2 * 4)
    assert near(p**2 * p, 0)


def test_another_redraw_has_other_rows_of_the_same_p():
    first, other = (gd.HierarchicalPolynomial(dimension=4, points=30, redraw=n) for n in (0, 1))
    (x, _), v = drawn(first)
    (z, _), w = drawn(other)
    np.testing.assert_array_equal(v, w)
    assert not np.isin(np.round(x, 5), np.round(z, 5)).any()


def test_more_directions_than_dimensions_are_refused():
    with pytest.raises(SpecError, match="terms: got 5; allowed: at most the dimension, 4"):
        gd.Sweep(gd.Experiment(task=gd.HierarchicalPolynomial(dimension=4, terms=5), **PARTS), {})


PARTS = {"model": gd.MLP(hidden=(4,)), "loss": gd.MSE(), "optimizer": gd.SGD(), "steps": 1, "record": gd.Every(1)}
