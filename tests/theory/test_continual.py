"""Forgetting by the closed formula, and by 4000 draws of rows and noise, exact pseudo-inverses."""

import numpy as np
import pytest

from grokdyn.theory.continual import Descent, course, eigenvalues, forgetting

RNG = np.random.default_rng(0)
TEACHERS = RNG.standard_normal((4, 12)) + RNG.standard_normal(12)
ROWS, NOISE, DRAWS = 5, 0.4, 4000


def test_errors_are_those_of_the_sum():
    found, r, p = forgetting(TEACHERS, ROWS, NOISE), 1 - ROWS / 12, 12
    for t in range(5):
        for i, one in enumerate(TEACHERS):
            told = r**t * one @ one + (1 - r**t) * p * NOISE**2 / (p - ROWS - 1)
            told += (1 - r) * sum(r ** (t - k - 1) * np.sum((TEACHERS[k] - one) ** 2) for k in range(t))
            np.testing.assert_allclose(found.errors[t, i], told, rtol=1e-12)


def test_errors_and_forgetting_are_means_over_draws():
    """Within 4 standard errors, every task after every other."""
    w, errors = np.zeros((DRAWS, 12)), []
    for one in TEACHERS:
        X = RNG.standard_normal((DRAWS, ROWS, 12))
        y = X @ one + NOISE * RNG.standard_normal((DRAWS, ROWS))
        gram = X @ X.transpose(0, 2, 1)
        w = w + np.einsum(
            "drp,dr->dp", X, np.linalg.solve(gram, (y - np.einsum("drp,dp->dr", X, w))[..., None])[..., 0]
        )
        errors.append(np.square(w[:, None] - TEACHERS).sum(-1))
    draws, found = np.stack(errors, 1), forgetting(TEACHERS, ROWS, NOISE)
    assert np.all(np.abs(draws.mean(0) - found.errors[1:]) < 4 * draws.std(0) / DRAWS**0.5)
    lost = np.mean([draws[:, -1, i] - draws[:, i, i] for i in range(3)], axis=0)
    assert abs(lost.mean() - found.forgetting) < 4 * lost.std() / DRAWS**0.5
    last = draws[:, -1].mean(1)
    assert abs(last.mean() - found.generalisation) < 4 * last.std() / DRAWS**0.5


def test_one_task_again_and_again_is_not_forgotten_and_more_weights_forget_less():
    again = forgetting(np.tile(TEACHERS[:1], (5, 1)), ROWS)
    assert again.forgetting < 0
    np.testing.assert_allclose(again.errors[5, 0], (7 / 12) ** 5 * np.sum(TEACHERS[0] ** 2))
    unit = np.array([[1.0, 0.0], [0.0, 1.0]])
    lost = [forgetting(np.pad(unit, ((0, 0), (0, p - 2))), 20).forgetting for p in (30, 60, 600)]
    assert lost[0] > lost[1] > lost[2] > 0
    assert np.isnan(forgetting(unit[:1] @ np.eye(2, 9), 3).forgetting)


@pytest.mark.parametrize("rows", [0, 11, 20])
def test_rows_beyond_the_weights_are_refused(rows):
    with pytest.raises(ValueError, match=f"rows: got {rows}; allowed: from 1 to 10"):
        forgetting(TEACHERS, rows)


def test_eigenvalues_are_those_of_random_matrices():
    """Exact moments of them: E tr = n p, E tr^2 = n p (n + p + 1), E tr of the inverse = n / (p - n - 1)."""
    for n, p in ((5, 12), (12, 5)):
        l, least, most = eigenvalues(n, p, 20_000), 5, 12
        told = least * most, least * most * (least + most + 1), least / (most - least - 1)
        for values, mean in zip((l.sum(1), (l**2).sum(1), (1 / l).sum(1)), told, strict=True):
            assert abs(values.mean() - mean) < 4 * values.std() / len(l) ** 0.5


@pytest.mark.parametrize("rows", [5, 20])
def test_a_course_is_the_mean_over_draws_of_steps_made_one_by_one(rows):
    """Within 4 standard errors at every step, fewer rows than weights and more."""
    rate, every, draws = 0.02, 4, 3000
    steps = np.array([0, 1, 3, 4, 5, 8, 11, 16, 19])
    w, seen = 0.3 * RNG.standard_normal((draws, 12)), []
    for step in range(20):
        if step % every == 0 and step < 16:
            X = RNG.standard_normal((draws, rows, 12))
            y = X @ TEACHERS[step // every] + NOISE * RNG.standard_normal((draws, rows))
        seen.append(np.square(w[:, None] - TEACHERS).sum(-1))
        w = w + rate * np.einsum("drp,dr->dp", X, y - np.einsum("drp,dp->dr", X, w))
    found = course(TEACHERS, rows, steps, Descent(rate, every), NOISE, 12 * 0.09)
    some = np.stack(seen)[steps]
    assert np.all(np.abs(some.mean(1) - found) < 4 * some.std(1) / draws**0.5 + 1e-12)


def test_a_course_without_end_is_the_closed_form():
    found = course(TEACHERS, ROWS, np.arange(5) * 4000, Descent(0.03, 4000), NOISE, 0.5, draws=20_000)
    told = forgetting(TEACHERS, ROWS, NOISE, 0.5).errors
    np.testing.assert_allclose(found, told, rtol=0.01)
    # A start at rest and no noise leave no mean over eigenvalues to draw.
    clean = course(TEACHERS, ROWS, np.arange(5) * 4000, Descent(0.03, 4000), draws=500)
    np.testing.assert_allclose(clean, forgetting(TEACHERS, ROWS).errors, rtol=2e-3)


def test_steps_below_0_and_matrices_without_entries_are_refused():
    with pytest.raises(ValueError, match="steps: got -1"):
        course(TEACHERS, ROWS, np.array([-1]), Descent(0.1, 5))
    with pytest.raises(ValueError, match="allowed: from 1 on"):
        eigenvalues(0, 5, 3)
