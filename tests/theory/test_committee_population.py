"""Two moments follow all units: the recursion beside descent on the exact error of every weight."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.theory import committee
from grokdyn.theory.committee_population import Moments, Rates, Target, errors

D, N = 5, 7


def descended(W, target, rates, steps):
    """Return errors of units W under plain descent on the closed form of the error, differentiated by JAX."""
    first = W

    def error(W):
        wbar, M = committee.moments(W)
        if rates.centred:
            wbar0, M0 = committee.moments(first)
            wbar, M = wbar - wbar0, M - M0
        a, A = rates.alpha * wbar - target.linear, rates.alpha * rates.epsilon * M - target.quadratic
        return committee.error_terms(a, A, target.constant).total

    eta = rates.step / (rates.alpha**2 if rates.rescaled else 1)
    value, slope = jax.jit(error), jax.jit(jax.grad(error))
    found = [float(value(W))]
    for _ in range(max(steps)):
        W = W - eta * slope(W)
        found.append(float(value(W)))
    return np.asarray(found)[list(steps)]


@pytest.mark.parametrize(
    "rates", [Rates(3.0, 0.7, 1.0, N), Rates(2.0, 0.7, 3.0, N, rescaled=True, centred=True)], ids=["plain", "lazy"]
)
def test_moments_are_those_of_all_units(rates, x64):
    rng, steps = np.random.default_rng(0), (30, 0, 200)
    B = rng.normal(size=(D, D))
    target = Target(rng.normal(size=D), B + B.T, 0.3)
    W = rng.normal(size=(D, N))
    told = errors(Moments.of(W), target, rates, np.array(steps))
    np.testing.assert_allclose(told, descended(jnp.asarray(W), target, rates, steps), rtol=1e-10)
    assert told[2] < told[0] < told[1]


def test_no_steps_below_zero():
    first = Moments(np.zeros(D), np.eye(D))
    with pytest.raises(ValueError, match="from 0 on"):
        errors(first, Target(np.zeros(D), np.eye(D)), Rates(1.0, 1.0, 1.0, N), np.array([3, -1]))


def learner(**changes):
    found = gd.Experiment(
        task=gd.MultiIndex(dimension=6, points=20_000, indices=2, linear=0.3, constant=0.2, fresh=True),
        model=gd.Committee(width=8, epsilon=0.5, output_scale=2.0),
        loss=gd.MSE(),
        optimizer=gd.SGD(learning_rate=0.4),
        batch_size=2000,
        steps=60,
        record=gd.At((0, 20, 60)),
        probes=("loss",),
    )
    return found.replace(**changes)


def test_runs_on_large_fresh_batches_follow_the_line():
    """Every run to 4 % of its error: batches of 2000 and a table of 20,000 points spread less."""
    sweep = gd.Sweep(learner(), {"model.centred": (False, True), "seed": (1, 2)})
    runs = gd.run(sweep, progress=False)
    told = gd.theory.of(sweep, runs.step)
    mean = runs.test_loss.mean("seed").transpose(*told.test_loss.dims)
    np.testing.assert_allclose(told.test_loss, mean, rtol=0.04)
    assert np.all(told.test_loss.isel(step=-1) < 0.5 * told.test_loss.isel(step=0))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"task.cubic": 0.1}, "task.cubic"),
        ({"task.combine": "product"}, "task.combine"),
        ({"optimizer.momentum": 0.5}, "momentum"),
    ],
)
def test_the_assumption_that_fails_is_named(changes, words):
    with pytest.raises(gd.SpecError, match=words):
        gd.theory.of(learner(**changes), [0])
