"""Few units of a committee machine are the run itself, to float64, and with many rows the population's."""

import jax
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.theory.committee_population import Moments, Rates, Target, errors
from grokdyn.theory.committee_rows import Units, outputs
from grokdyn.theory.diagonal import squares
from grokdyn.theory.lines.committee_network import mean_field

STEPS = (0, 3, 25)
BASE = gd.Experiment(
    task=gd.MultiIndex(dimension=6, points=40, train_points=15, indices=2, cubic=0.3, label_noise=0.2),
    model=gd.Committee(width=9, epsilon=0.5, output_scale=3.0, rescaled=True),
    loss=gd.MSE(),
    optimizer=gd.SGD(learning_rate=8.0, weight_decay=0.001),
    steps=25,
    record=gd.At(STEPS),
    probes=("loss",),
    dtype="float64",
)


def test_a_run_in_float64_is_its_dual():
    sweep = gd.Sweep(BASE, {"model.epsilon": (0.0, 0.5), "seed": (1, 2)})
    runs, told = gd.run(sweep, progress=False), gd.theory.of(sweep, STEPS)
    assert told.attrs["theory"] == "dual dynamics of a committee machine"
    for name in ("train_loss", "test_loss"):
        mean = runs[name].mean("seed")
        np.testing.assert_allclose(told[name].transpose(*mean.dims), mean, rtol=1e-9, err_msg=name)
    assert float(told.train_loss[..., -1].max()) < 0.7 * float(told.train_loss[..., 0].min())


def test_few_units_and_many_are_both_themselves():
    rng = np.random.default_rng(1)
    for N in (2, 4, 5, 30):
        W = rng.standard_normal((3, N))
        found = Units.of(W)
        assert found.weights.shape == (3, min(N, 4))
        np.testing.assert_allclose(found.weights @ found.ones, W.sum(1), atol=1e-12)
        np.testing.assert_allclose(found.weights @ found.weights.T, W @ W.T, atol=1e-12)
        np.testing.assert_allclose(found.ones @ found.ones, N)


def test_many_units_are_units_whose_moments_are_those_of_all():
    """12 units of 6 entries, sqrt(6) and -sqrt(6) along each, have mean 0 and second moment I as infinitely many."""
    W = 6**0.5 * np.concatenate([np.eye(6), -np.eye(6)], axis=1)
    experiment = BASE.replace(**{"model.width": 12})
    with jax.enable_x64(True):
        found = gd.run(experiment, start=gd.Start(params={"W": W}), progress=False)
    told = mean_field(experiment, np.array(STEPS))
    for name in ("train_loss", "test_loss"):
        np.testing.assert_allclose(told[name], found[name], rtol=1e-9, err_msg=name)
    with pytest.raises(gd.SpecError, match="batch_size: got 5"):
        mean_field(BASE.replace(batch_size=5), np.array(STEPS))


def test_what_is_subtracted_stays_as_it_was():
    told = gd.theory.of(BASE.replace(**{"model.centred": True, "loss": gd.MSE(reduction="sum")}), [0])
    runs = gd.run(BASE.replace(**{"model.centred": True, "steps": 1, "record": gd.At((0,))}), progress=False)
    np.testing.assert_allclose(told.test_loss, runs.test_loss, rtol=1e-9)


def test_many_rows_are_the_population():
    """1e5 rows of 3 entries: 3 % after 30 updates that leave a tenth of the error."""
    rng = np.random.default_rng(0)
    D, n, N = 3, 100_000, 20
    x, W = rng.standard_normal((n, D)) / D**0.5, rng.standard_normal((D, N))
    rates, linear = Rates(20.0, 0.6, 1.0, N, centred=True), np.array([1.0, -0.5, 0.2])
    target = Target(linear, np.diag([1.0, 0.0, -0.5]), 0.1)
    y = x @ linear + 0.5 * np.sum((x @ target.quadratic) * x, 1) + 0.1
    f = outputs(x, np.ones(n, bool), squares(y, n), Units.of(W), rates, np.array([0, 30]))
    told = errors(Moments.of(W), target, rates, np.array([0, 30]))
    np.testing.assert_allclose(np.mean((f - y) ** 2, 1), told, rtol=0.03)
    assert told[1] < 0.2 * told[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model.linearised": True}, "linearised"),
        ({"batch_size": 5}, "batch_size"),
        ({"steps": 10**9, "record": gd.At((0,))}, "steps: got 1000000000; allowed: at most 1985880"),
    ],
)
def test_the_assumption_that_fails_is_named(changes, words):
    with pytest.raises(gd.SpecError, match=words):
        gd.theory.of(BASE.replace(**changes), STEPS)


def test_steps_that_fall_are_refused():
    with pytest.raises(ValueError, match="steps"):
        outputs(np.eye(2), np.ones(2, bool), lambda f: f, Units.of(np.eye(2)), Rates(1, 1, 1, 2), np.array([2, 1]))
