"""Ridge regression by fits to drawn rows, moments by Monte Carlo, and runs of random features against their line."""

import numpy as np
import pytest
from scipy import special

import grokdyn as gd
from grokdyn.theory.linear import learning_curves
from grokdyn.theory.ridge import Moments, bayes_optimal, errors, features, of_moments

PHI = {"relu": lambda h: np.maximum(h, 0), "erf": special.erf, "square": np.square, "identity": lambda h: h}
RNG = np.random.default_rng(5)


def test_errors_are_means_over_gaussian_rows():
    """400 features of eigenvalues k^-1.5, 60 rows: within 4 standard errors of 300 fits."""
    k = np.arange(1, 401.0)
    l, v2, noise, penalty = k**-1.5, k**-2, 0.01, 0.02
    told = errors(l, v2, 60, penalty, noise)
    found = []
    for _ in range(300):
        z = RNG.standard_normal((60, 400))
        target = np.sqrt(v2) * RNG.choice([-1, 1], 400)
        y = z @ target + np.sqrt(noise) * RNG.standard_normal(60)
        V = z * np.sqrt(l)
        a = np.linalg.solve(V @ V.T + penalty * np.eye(60), y)
        missed = np.sqrt(l) * (V.T @ a) - target
        found.append([np.mean((V @ (V.T @ a) - y) ** 2), missed @ missed + noise])
    mean, error = np.mean(found, 0), np.std(found, 0) / 300**0.5
    assert np.all(np.abs(mean - [told.train, told.test]) < 4 * error)
    np.testing.assert_allclose(told.test, 0.0566, atol=1e-4)


def test_ridge_regression_on_white_inputs_is_where_descent_with_decay_ends():
    """Another formula, of Marchenko and Pastur's law: n = 900, D = 600, decay d / 1."""
    told = learning_curves(np.array([3000.0]), 1.5, 1.0, 0.4, rate=0.2, decay=0.3)
    l = np.full(600, 1 / 600)
    found = errors(l, l, 900, 0.3, 0.16)
    np.testing.assert_allclose([found.train, found.test], [told.train[0], told.test[0]], rtol=1e-6)


@pytest.mark.parametrize("phi", PHI)
def test_moments_are_means_over_inputs(phi):
    """2e5 inputs, within 5 standard errors of every entry."""
    A, w = RNG.standard_normal((4, 3)), np.array([0.5, -1.0, 0.3])
    x = RNG.standard_normal((200_000, 3)) / 3**0.5
    y, told = x @ w, features(Moments(np.eye(3) / 3, w / 3), A, phi)
    v = PHI[phi](x @ A.T)
    for found, mean in ((v[:, :, None] * v[:, None, :], told.among), (v * y[:, None], told.target)):
        error = found.std(0) / len(x) ** 0.5
        assert np.all(np.abs(found.mean(0) - mean) < 5 * error + 1e-12)
    assert told.centred == (phi in ("erf", "identity"))


def test_features_of_features_are_those_of_many():
    """Two layers of erf and a teacher tanh, 100 fits of 160 rows within 4 standard errors but for 2 %."""
    D, N, n, penalty = 80, 120, 160, 0.05
    A, B, w = RNG.standard_normal((N, D)), RNG.standard_normal((N, N)) / N**0.5, RNG.standard_normal(D)
    z, weight = np.polynomial.hermite_e.hermegauss(60)
    u, weight = z * (w @ w / D) ** 0.5, weight / np.sqrt(2 * np.pi)
    # tanh(2 x . w) = b x . w + what is uncorrelated with x.
    b, power = weight @ (2 / np.cosh(2 * u) ** 2), weight @ np.tanh(2 * u) ** 2
    one = features(features(Moments(np.eye(D) / D, b * w / D), A, "erf"), B, "erf")
    told = of_moments(one, n, penalty * N, power + 0.09)
    found = []
    for _ in range(100):
        x = RNG.standard_normal((n + 500, D)) / D**0.5
        y = np.tanh(2 * x @ w) + 0.3 * RNG.standard_normal(n + 500)
        V = special.erf(special.erf(x @ A.T) @ B.T) / N**0.5
        W = np.linalg.solve(V[:n].T @ V[:n] + penalty * np.eye(N), V[:n].T @ y[:n])
        found.append([np.mean((V[rows] @ W - y[rows]) ** 2) for rows in (slice(0, n), slice(n, None))])
    mean, error = np.mean(found, 0), np.std(found, 0) / 10
    np.testing.assert_array_less(np.abs(mean - [told.train, told.test]), 4 * error + 0.02 * mean)


def beyond(n, draws, sets=200, penalty=0.02):
    """Return by how much the test error on n rows is off theory, over theory, and its error from sets of features.

    n erf features of 2 n / 3 inputs. The mean over teachers and noise is by traces, that over rows by draws.
    """
    rng = np.random.default_rng([7, n])
    D, found = 2 * n // 3, []
    for _ in range(sets):
        A, one = rng.standard_normal((n, D)), []
        moments = features(Moments(np.eye(D) / D, np.eye(D) / D), A, "erf")
        told = float(of_moments(moments, n, penalty * n, 1.25).test)
        for _ in range(draws // sets):
            x = rng.standard_normal((n, D)) / D**0.5
            V = special.erf(x @ A.T)
            H = np.linalg.solve(V @ V.T + penalty * n * np.eye(n), V).T
            B, O = H @ x, moments.among
            one.append(1.25 - 2 * np.sum(B * moments.target) + np.sum(B * (O @ B)) + 0.25 * np.sum(H * (O @ H)))
        found.append(np.mean(one) / told - 1)
    return np.mean(found), np.std(found, ddof=1) / sets**0.5


@pytest.mark.slow
def test_the_error_of_few_rows_falls_as_one_over_their_number():
    """Exponent -1.06 +- .12 over 48 to 192 rows; below these a second term, 1.6 / n^2, bends it."""
    sizes = np.array([48, 96, 192])
    off, error = np.transpose([beyond(n, draws) for n, draws in zip(sizes, (6000, 3000, 1000), strict=True)])
    assert np.all(off < -4 * error)
    A, weight = np.stack([np.ones(3), np.log(sizes)], axis=1), np.square(off / error)
    inverse = np.linalg.inv(A.T @ (weight[:, None] * A))
    slope = (inverse @ A.T @ (weight * np.log(-off)))[1]
    assert inverse[1, 1] ** 0.5 < 0.15
    assert abs(slope + 1) < 2 * inverse[1, 1] ** 0.5


def test_no_penalty_on_inputs_beats_the_optimal_one():
    l = np.full(50, 0.02)
    least = min(float(errors(l, l, 80, d, 0.25).test) for d in np.geomspace(0.01, 10, 400))
    np.testing.assert_allclose(bayes_optimal(80, 50, 1.0, 0.5), least, rtol=1e-4)
    assert bayes_optimal(80, 50, 1.0, 0.5) <= least


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: errors(np.ones(3), np.ones(3), 5, 0.0, 0.1), "allowed: from 1 on, above 0"),
        (lambda: features(Moments(np.eye(2), np.ones(2)), np.eye(2), "tanh"), "phi: got 'tanh'"),
        (lambda: features(Moments(np.eye(2), np.ones(2), False), np.eye(2), "erf"), "mean is not 0"),
        (lambda: bayes_optimal(3, 4, 1.0, 0.0), "above 0"),
    ],
)
def test_what_cannot_be_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def readout(**changes):
    """Return random features whose readout decays to ridge regression, 60 inputs long."""
    found = gd.Experiment(
        task=gd.LinearTeacher(dimension=60, points=400, train_points=90, noise_std=0.3),
        model=gd.RandomFeatures(width=80, activation="erf", gain=60**0.5, shift=0.0, output_scale=2.0),
        loss=gd.MSE(),
        optimizer=gd.SGD(learning_rate=0.1, momentum=0.9, weight_decay=0.03),
        steps=300,
        record=gd.At((0, 300)),
        probes=("loss",),
    )
    return found.replace(**changes)


def test_runs_of_random_features_end_on_the_line():
    """Mean over 64 seeds within 4 standard errors but for 2 %."""
    base = readout(**{"loss": gd.MSE(reduction="sum"), "model.rescaled": True})
    base = base.replace(**{"optimizer.learning_rate": 0.004, "optimizer.weight_decay": 0.8})
    sweep = gd.Sweep(base, {"seed": range(64)})
    runs, told = gd.run(sweep, progress=False), gd.theory.of(sweep, [0, 300])
    assert told.attrs["theory"] == "random features with a ridge readout"
    assert np.isnan(told.test_loss[0])
    for name in ("train_loss", "test_loss"):
        end = runs[name].isel(step=-1).values
        line = float(told[name][-1])
        assert abs(end.mean() - line) < 4 * end.std(ddof=1) / 8 + 0.02 * line, name
    # A mean over 90 rows has half of that decay in place of a sum's.
    mean = gd.theory.of(readout(**{"model.rescaled": True, "optimizer.weight_decay": 0.8 / 90, "steps": 2000}), [2000])
    np.testing.assert_allclose(mean.test_loss, told.test_loss[-1:], rtol=1e-9)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": 200, "record": gd.At((200,))}, "steps: got 200; allowed: at least 234"),
        ({"model.shift": 0.5}, r"model\.shift: got 0\.5"),
        ({"optimizer.momentum": 0.99, "optimizer.nesterov": True}, "nesterov"),
        ({"model.activation": "tanh"}, r"model\.activation: got 'tanh'"),
    ],
)
def test_the_assumption_that_fails_is_named(changes, words):
    with pytest.raises(gd.SpecError, match=words):
        gd.theory.of(readout(**changes), [0, 200])
