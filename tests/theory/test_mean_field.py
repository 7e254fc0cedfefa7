"""The mean-field limit beside closed forms of its own, the kernel regime, and networks that are trained."""

import numpy as np
import pytest

import grokdyn as gd
from grokdyn.theory import infinite_width
from grokdyn.theory.diagonal import softmax, squares
from grokdyn.theory.lines.mean_field_network import MeanFieldNetwork
from grokdyn.theory.mean_field import ACTIVATIONS, Scales, learning

D, ROWS = 4, 9
TRAIN = np.arange(ROWS) < 6


def rows(seed=0, outputs=2):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(ROWS, D))
    return x, rng.normal(size=(ROWS, outputs))


def linear_moments(x, slope, outputs, steps, scales):
    """Return f where phi(h) = h: (w, a) of a unit moves by one matrix for all, so that E[a w^T] is all there is."""
    m2 = 1 / D
    C = np.diag([scales.variance] * D + [scales.readout] * outputs)
    found = []
    for step in range(max(steps) + 1):
        f = scales.output * np.sqrt(m2) * x @ C[:D, D:]
        if step in steps:
            found.append(f)
        push = scales.step * np.sqrt(m2) * x[TRAIN].T @ slope(f[TRAIN])
        move = np.block([[np.eye(D), -push], [-push.T, np.eye(outputs)]]) - scales.decay * np.eye(D + outputs)
        C = move @ C @ move.T
    return np.array(found)


@pytest.mark.parametrize("loss", ["squares", "softmax"])
def test_a_linear_network_is_its_second_moments(loss):
    x, y = rows()
    y = np.eye(2)[(y[:, 0] > 0).astype(int)] if loss == "softmax" else y
    slope = softmax(y[TRAIN]) if loss == "softmax" else squares(y[TRAIN], y[TRAIN].size)
    scales, steps = Scales(2.0, 0.3, variance=1.5, readout=0.5, decay=0.002, phi="identity"), [0, 5, 40]
    told = linear_moments(x, slope, 2, steps, scales)
    found = learning(x @ x.T / D, TRAIN, slope, 2, steps, scales, units=1024)
    assert np.abs(found.mean[0]).max() < 1e-12
    assert np.ptp(told[2]) > 0.5  # it learned, and features moved: the kernel's function is another
    assert np.all(np.abs(found.mean - told) < 5 * found.error + 1e-3)
    np.testing.assert_allclose(found.mean, told, atol=0.02)


@pytest.mark.parametrize("phi", ["erf", "relu"])
def test_far_from_feature_learning_it_is_the_kernel_of_infinite_width(phi):
    x, y = rows(outputs=1)
    layers = (infinite_width.Layer(1.0, weight_moves=1.0), infinite_width.Layer(1.0, weight_moves=1.0))
    among, cross = (infinite_width.kernels(a, x[TRAIN], layers, phi).tangent for a in (x[TRAIN], x))
    steps, rate, n = [0, 10, 50], 0.4, TRAIN.sum()
    f, told = np.zeros((ROWS, 1)), []
    for step in range(steps[-1] + 1):
        if step in steps:
            told.append(f)
        f = f - cross @ (2 * rate / n * (f[TRAIN] - y[TRAIN]))
    F = 1e4  # s F is the rate of the kernel
    found = learning(x @ x.T / D, TRAIN, squares(y[TRAIN], n), 1, steps, Scales(F, rate / F, phi=phi), units=8192)
    assert among.shape == (n, n)
    np.testing.assert_allclose(found.mean, told, atol=0.01)


def test_slopes_are_derivatives():
    h = np.linspace(-2, 2, 41) + 0.01
    for phi, slope in ACTIVATIONS.values():
        np.testing.assert_allclose((phi(h + 1e-6) - phi(h - 1e-6)) / 2e-6, slope(h), atol=1e-8)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"steps": [3, 1]}, "steps"), ({"units": 100}, "power of two"), ({"repeats": 1}, "at least 2")],
)
def test_mistakes_are_told(changes, words):
    x, y = rows()
    given = {"steps": [0, 1], "scales": Scales(1.0, 0.1), **changes}
    with pytest.raises(ValueError, match=words):
        learning(x @ x.T, TRAIN, squares(y[TRAIN], 1), 2, **given)


def network(width, **changes):
    """Return networks that learn features, gamma_0 = 1/2, of a teacher on 8 of 24 points."""
    found = gd.Experiment(
        task=gd.MultiIndex(dimension=4, points=24, train_points=8),
        model=gd.MLP(hidden=(width,), activation="erf", init="mup", output_scale=2.0),
        loss=gd.MSE(),
        optimizer=gd.SGD(learning_rate=0.1 * width),
        steps=60,
        record=gd.At((0, 5, 20, 60)),
        probes=("loss",),
        seeds={"split": 3},
    )
    return found.replace(**changes)


def farthest(sweep):
    """Return the largest distance of the mean over seeds from the line, in standard errors, and the line."""
    runs = gd.run(sweep, progress=False)
    told = gd.theory.of(sweep, runs.step)
    name, n = "train_loss", runs.sizes["seed"]
    error = runs[name].std("seed", ddof=1) / np.sqrt(n)
    return float((abs(runs[name].mean("seed") - told[name]) / error).max()), told[name].values


def test_wide_networks_learn_as_the_limit():
    """Mean over 16 seeds within 4 standard errors at all records."""
    far, told = farthest(gd.Sweep(network(2000), {"seed": range(16)}))
    assert far < 4
    assert told[-1] < 0.5 * told[0]


def test_other_words_of_the_same_network():
    told = gd.theory.of(network(100), [0, 30])
    ntk = network(100, **{"model.init": "ntk", "model.output_scale": 0.2, "model.centred": True})
    # 2 / 100 and .2 / 10 are the same factor of the readout.
    np.testing.assert_allclose(gd.theory.of(ntk, [0, 30]).test_loss, told.test_loss, rtol=1e-9)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model.hidden": (8, 8), "model.centred": True}, "mlp with one hidden layer"),
        ({"model.init": "torch"}, "Gaussian"),
        ({"steps": 10**5}, "steps"),
    ],
)
def test_the_assumption_that_fails_is_named(changes, words):
    failures = [
        f"{path}: got {came}; allowed: {allowed}" for path, came, allowed in failures_of(network(100, **changes))
    ]
    assert len(failures) == 1
    assert words in failures[0]


def failures_of(experiment):
    return list(MeanFieldNetwork().failures(experiment))
