"""The stability boundary of SGD: against the paper's closed form, simulated steps, and the engine's own runs."""

import numpy as np
import pytest
import scipy.stats

import grokdyn as gd
from grokdyn.theory import sgd_stability as theory

ROWS, SEEDS, STEPS = 100, 100, 400
BATCHES = range(1, 50)
# Rates of the grid are so many times apart.
CELL = 1.2
COHERENCES = (1, 5, 20)


@pytest.mark.parametrize("sampling", theory.SAMPLINGS)
def test_the_law_of_a_batch_is_scipys(sampling):
    for batch, of_axis in ((1, 1), (7, 5), (49, 20), (60, 60), (100, 3)):
        known = {
            "replacement": scipy.stats.binom(batch, of_axis / ROWS),
            "distinct": scipy.stats.hypergeom(ROWS, of_axis, batch),
            "independent": scipy.stats.binom(of_axis, batch / ROWS),
        }[sampling]
        found = theory.batch_law(batch, of_axis, ROWS, sampling)
        np.testing.assert_allclose(found, known.pmf(np.arange(len(found))), rtol=1e-9, atol=1e-15)
        np.testing.assert_allclose(found.sum(), 1, rtol=1e-10)


def test_the_boundary_is_the_papers_for_rows_drawn_each_by_itself():
    for coherence in COHERENCES:
        for batch in BATCHES:
            exact = min(coherence / (coherence + ROWS / batch - 1), coherence * batch / ROWS)
            np.testing.assert_allclose(theory.boundary(batch, coherence, sampling="independent"), exact, rtol=1e-10)


def test_a_step_at_the_boundary_keeps_the_mean_square():
    for sampling in theory.SAMPLINGS:
        rate = theory.boundary(8, 5, sampling=sampling)
        np.testing.assert_allclose(theory.mean_square_growth(rate, 8, 5, sampling=sampling), 1, rtol=1e-12)
        assert theory.mean_square_growth(1.01 * rate, 8, 5, sampling=sampling) > 1
    # All of the rows are one step of descent, stable up to 2 / 2.
    np.testing.assert_allclose(theory.boundary(ROWS, 5, sampling="distinct"), 1, rtol=1e-10)
    np.testing.assert_allclose(theory.typical_growth(0.9, ROWS, ROWS, sampling="distinct"), np.log(0.8), rtol=1e-12)


def counts(rng, batch, of_axis, sampling):
    """Draw how many rows of an axis the batches of all steps hold [seeds, steps]."""
    shape = (SEEDS, STEPS)
    if sampling == "distinct":
        return rng.hypergeometric(of_axis, ROWS - of_axis, batch, shape)
    tries, chance = (of_axis, batch / ROWS) if sampling == "independent" else (batch, of_axis / ROWS)
    return rng.binomial(tries, chance, shape)


@pytest.mark.parametrize("sampling", theory.SAMPLINGS)
@pytest.mark.parametrize("coherence", COHERENCES)
def test_the_simulated_boundary_is_within_a_cell_of_the_exact_one(coherence, sampling):
    """Steps are independent, so the growth of the mean square is the mean over steps and 100 seeds of their squares."""
    rng = np.random.default_rng([coherence, theory.SAMPLINGS.index(sampling)])
    for batch in BATCHES:
        exact = theory.boundary(batch, coherence, sampling=sampling)
        rates = exact * CELL ** (np.arange(-6, 7) + rng.uniform())
        growth = np.zeros(len(rates))
        for of_axis in {coherence, 1}:
            k = counts(rng, batch, of_axis, sampling) / batch
            c = 2 * rates * ROWS / coherence
            growth = np.maximum(growth, 1 - 2 * c * k.mean() + c**2 * np.mean(k**2))
        unstable = growth > 1
        first = rates[np.argmax(unstable)]
        assert unstable.any()
        assert exact / CELL <= first <= exact * CELL**2, (batch, first / exact)


def test_typical_runs_leave_later_than_the_mean_does():
    for coherence, batch in ((5, 10), (20, 5), (20, 30)):
        between = 1.05 * theory.boundary(batch, coherence)
        assert theory.mean_square_growth(between, batch, coherence) > 1
        assert theory.typical_growth(between, batch, coherence) < 0


def test_the_engines_runs_multiply_as_the_family_says():
    """Mean and mean square of the steps' factors lie within five standard errors of the exact ones."""
    experiment = gd.Experiment(
        task=gd.SharedAxis(points=20, coherence=4, train_fraction=1.0),
        model=gd.Committee(width=1, epsilon=0.0),
        loss=gd.MSE(),
        optimizer=gd.SGD(learning_rate=0.3),
        batch_size=3,
        batch_replacement=True,
        steps=60,
        record=gd.Every(1),
        probes=(gd.Weights(tensor="W", entries=2),),
        dtype="float64",
    )
    weight = gd.run(gd.Sweep(experiment, {"seed": range(20)}), progress=False).weight.transpose("entry", "seed", "step")
    factors = (weight.values[..., 1:] / weight.values[..., :-1]).reshape(2, -1)
    for found, of_axis in zip(factors, (4, 1), strict=True):
        chances, m = theory.multipliers(0.3, 3, 4, of_axis, 20, "replacement")
        for power in (1, 2):
            exact = chances @ m**power
            error = np.sqrt((chances @ m ** (2 * power) - exact**2) / len(found))
            assert abs(np.mean(found**power) - exact) < 5 * error
    matrix = gd.SharedAxis(points=20, coherence=4).table().inputs.astype("float64")
    curvature = [2 * np.outer(x, x) for x in matrix]
    np.testing.assert_allclose(np.linalg.eigvalsh(np.mean(curvature, axis=0))[-1], 2, rtol=1e-6)
    S = np.sqrt([[np.trace(a @ b) for a in curvature] for b in curvature])
    largest = max(np.linalg.eigvalsh(h)[-1] for h in curvature)
    np.testing.assert_allclose(np.linalg.eigvalsh(S)[-1] / largest, 4, rtol=1e-6)


def test_what_is_out_of_range_is_told():
    with pytest.raises(ValueError, match="batch, of_axis, rows: got"):
        theory.boundary(101, 5, sampling="distinct")
    with pytest.raises(ValueError, match="sampling: got 'pass'"):
        theory.boundary(1, 5, sampling="pass")
    with pytest.raises(gd.SpecError, match="coherence: got 30; allowed: at most points, 20"):
        gd.Sweep(gd.Experiment(gd.SharedAxis(points=20, coherence=30), gd.MLP(), gd.MSE(), gd.SGD(), steps=1), {})
