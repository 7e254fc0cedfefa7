"""Risks of one step of gradient descent in context: by many draws, and that no other rate or matrix is better."""

import numpy as np
import pytest
from scipy.optimize import minimize

from grokdyn.theory.in_context import matrix_risk, rate, risk, shared_rate


def errors(A, pairs, noise, draws=60_000, seed=0):
    """Return squared errors of the predictor x . A sum_i y_i x_i on drawn prompts."""
    rng, d = np.random.default_rng(seed), len(A)
    w, X, x = rng.normal(size=(draws, d)), rng.normal(size=(draws, pairs, d)), rng.normal(size=(draws, d))
    y = np.einsum("rnd,rd->rn", X, w) + noise * rng.normal(size=(draws, pairs))
    target = np.sum(x * w, axis=1) + noise * rng.normal(size=draws)
    return (np.einsum("re,ed,rn,rnd->r", x, A, y, X, optimize=True) - target) ** 2


@pytest.mark.parametrize(("d", "pairs", "noise"), [(5, 10, 0.0), (3, 1, 0.7)])
def test_risks_are_means_over_many_prompts(d, pairs, noise):
    """Of the best rate, of half of it, and of a matrix that is no multiple of the identity; 4 standard errors."""
    eta = rate(pairs, d, noise)
    A = eta * (np.eye(d) + 0.3 * np.random.default_rng(1).normal(size=(d, d)))
    for matrix, told in (
        (eta * np.eye(d), risk(pairs, d, noise)),
        (eta / 2 * np.eye(d), risk(pairs, d, noise, eta / 2)),
        (A, matrix_risk(A, pairs, noise)),
    ):
        found = errors(matrix, pairs, noise)
        assert abs(found.mean() - told) < 4 * found.std() / np.sqrt(len(found))
        np.testing.assert_allclose(matrix_risk(matrix, pairs, noise), told, rtol=1e-12)


def test_values_are_those_worked_out_by_hand():
    assert rate(10, 5, 0.0) == 1 / 16
    np.testing.assert_allclose(risk(10, 5, 0.0), 1.875)
    np.testing.assert_allclose([rate(20, 8, 0.5), risk(20, 8, 0.5)], [0.034188, 2.7799], rtol=2e-5)
    np.testing.assert_allclose(risk(10, 5, 0.5**0.5), 2.4697, rtol=2e-5)
    assert risk(0, 5, 0.5) == 5.25


def test_no_matrix_and_no_rate_is_better():
    found = minimize(lambda A: matrix_risk(A.reshape(3, 3), 4, 0.5), np.zeros(9), tol=1e-12)
    np.testing.assert_allclose(found.x.reshape(3, 3), rate(4, 3, 0.5) * np.eye(3), atol=1e-6)
    lengths = np.arange(1, 8)
    etas = np.linspace(0, 0.3, 3001)
    best = etas[np.argmin([risk(lengths, 3, 0.5, eta).mean() for eta in etas])]
    assert abs(shared_rate(lengths, 3, 0.5) - best) <= 1e-4
    assert shared_rate([4], 3, 0.5) == pytest.approx(rate(4, 3, 0.5), rel=1e-15)
    with pytest.raises(ValueError, match="allowed: a square matrix"):
        matrix_risk(np.zeros((2, 3)), 4, 0.5)
