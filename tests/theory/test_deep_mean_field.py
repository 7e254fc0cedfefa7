"""The law of deep networks: with two layers, in the kernel regime, linear in closed form, and finite networks."""

import numpy as np
import pytest

import grokdyn as gd
from grokdyn.theory import mean_field
from grokdyn.theory.deep_mean_field import SMOOTH, Size, learning
from grokdyn.theory.diagonal import squares
from grokdyn.theory.lines import deep_feature_network
from grokdyn.theory.lines.deep_feature_network import DeepFeatureNetwork, function
from grokdyn.theory.lines.rows import metrics, rows_of
from grokdyn.theory.mean_field import Scales

RNG = np.random.default_rng(0)
X = RNG.standard_normal((5, 4)) / 2
Y = np.sin(2 * X[:, :1])
TRAIN, STEPS = np.arange(5) < 3, 12
LAW = (X @ X.T, TRAIN, squares(Y[TRAIN], 3))


def test_one_layer_is_the_law_of_two_layer_networks():
    """Within 4 errors of both samples."""
    scales = Scales(1.5, 0.3, 1.2, 0.8, phi="tanh")
    found = learning(*LAW, 1, STEPS, 1, scales, Size(2048, 8, 8))
    told = mean_field.learning(*LAW, 1, np.arange(STEPS + 1), scales, units=4096)
    assert np.all(np.abs(found.mean - told.mean) < 4 * np.hypot(found.error, told.error) + 1e-3)


def test_where_no_unit_moves_it_is_the_flow_of_the_kernel(monkeypatch):
    """At F = 126 two layers below the readout follow the line of infinite width to 2 %."""
    monkeypatch.setattr(deep_feature_network, "SIZE", Size(2048, 8, 4))
    base = network(10**5, **{"model.output_scale": 0.4, "model.activation": "erf"})
    base = base.replace(**{"model.init": "ntk", "model.centred": True, "model.rescaled": True})
    base = base.replace(optimizer=gd.SGD(learning_rate=0.6))
    told = gd.theory.of(base.replace(**{"model.output_scale": 1.0}), range(0, 21, 5))
    found = gd.theory.of(base, range(0, 21, 5))
    assert (told.attrs["source"], found.attrs["source"]) == (
        "Jacot et al. 2018, Lee et al. 2019",
        "Bordelon & Pehlevan 2022",
    )
    for name in ("train_loss", "test_loss"):
        np.testing.assert_allclose(found[name], told[name], atol=0.02 * float(told[name][0]))
    assert float(told.train_loss[-1]) < 0.6 * float(told.train_loss[0])


def linear(scales):
    """Return f [steps + 1, rows] of two linear hidden layers, every field as coefficients of what is drawn.

    The first layer's are of u [rows] and r [steps * n], the second's of u [steps * rows], which covers all rows, and of
    the readout weight a of step 0.
    """
    G, R, at, n, s = X @ X.T, len(X), np.flatnonzero(TRAIN), int(TRAIN.sum()), scales.step
    T, e, f = STEPS + 1, [], []
    h1 = [np.concatenate([np.eye(R), np.zeros((R, T * n))], axis=1)]
    h2, d1, d2, a = [], [], [], np.eye(1, T * R + 1, T * R)
    # Covariances of what is drawn, as far as they are known.
    first, second = np.zeros((R + T * n,) * 2), np.zeros((T * R + 1,) * 2)
    first[:R, :R], second[-1, -1] = scales.variance * G, scales.readout
    for t in range(T):
        if t:
            h1.append(h1[-1] + s * G[:, at] @ d1[-1])
        for q in range(t + 1):
            block = scales.variance * h1[t] @ first @ h1[q].T
            second[t * R : (t + 1) * R, q * R : (q + 1) * R] = block
            second[q * R : (q + 1) * R, t * R : (t + 1) * R] = block.T
        new = np.eye(T * R + 1)[t * R : (t + 1) * R]
        for q in range(t):
            A = h1[t][:, R + q * n : R + (q + 1) * n]
            new = new + (scales.variance * A + s * h1[t] @ first @ h1[q][at].T) @ d2[q]
        h2.append(new)
        f.append(scales.output * (a @ second @ new.T)[0])
        e.append(-LAW[2](f[-1][at][:, None]))
        d2.append(e[t] @ a)
        back = np.zeros((n, R + T * n))
        back[:, R + t * n : R + (t + 1) * n] = np.eye(n)
        for q in range(t + 1):
            block = scales.variance * d2[t] @ second @ d2[q].T
            first[R + t * n : R + (t + 1) * n, R + q * n : R + (q + 1) * n] = block
            first[R + q * n : R + (q + 1) * n, R + t * n : R + (t + 1) * n] = block.T
            B = d2[t][:, q * R : (q + 1) * R][:, at]
            learned = s * d2[t] @ second @ d2[q].T if q < t else 0
            back = back + (scales.variance * B + learned) @ h1[q][at]
        d1.append(back)
        a = a + s * e[t].T @ h2[t][at]
    return np.stack(f)


def test_linear_networks_are_their_closed_form():
    """Covariances and responses in matrices, no sample: within 4 of its errors, 16 samples; both ways are needed."""
    scales = Scales(0.7, 0.5, phi="identity")
    found, told = learning(*LAW, 1, STEPS, 2, scales, Size(2048, 64, 16)), linear(scales)
    far = np.abs(found.mean[..., 0] - told)
    assert np.all(far < 4 * found.error[..., 0] + 1e-3)
    assert far.max() < 0.01
    assert np.abs(told[-1][TRAIN] - Y[TRAIN, 0]).max() < 0.2


def test_derivatives_are_those_of_the_activations():
    h = np.linspace(-2, 2, 41)
    for phi, slope, bend in SMOOTH.values():
        np.testing.assert_allclose((phi(h + 1e-6) - phi(h - 1e-6)) / 2e-6, slope(h), atol=1e-8)
        np.testing.assert_allclose((slope(h + 1e-6) - slope(h - 1e-6)) / 2e-6, bend(h), atol=1e-8)


@pytest.mark.parametrize(
    ("layers", "scales", "words"),
    [
        (0, Scales(1.0, 0.1, phi="tanh"), "layers"),
        (2, Scales(1.0, 0.1), "relu"),
        (2, Scales(1, 1, decay=0.1, phi="erf"), "0.1"),
    ],
)
def test_mistakes_are_told(layers, scales, words):
    with pytest.raises(ValueError, match=words):
        learning(*LAW, 1, 3, layers, scales)


def network(width, layers=2, **changes):
    """Return deep networks that learn features, gamma_0 = 1, of a teacher on 6 of 14 points."""
    found = gd.Experiment(
        task=gd.MultiIndex(dimension=4, points=14, train_points=6, linear=0.5, quadratic=0.2),
        model=gd.MLP(hidden=(width,) * layers, activation="tanh", init="mup"),
        loss=gd.MSE(),
        optimizer=gd.SGD(learning_rate=0.15 * width),
        steps=40,
        record=gd.At((0, 5, 15, 40)),
        probes=("loss",),
        seeds={"split": 3},
    )
    return found.replace(**changes)


@pytest.mark.slow
@pytest.mark.parametrize("layers", [2, 3])
def test_wide_networks_learn_as_the_limit(layers):
    """Means of the losses over 32 seeds, width 1000, and over 8 samples of the limit: within 4 errors of both."""
    sweep, steps = gd.Sweep(network(1000, layers), {"seed": range(32)}), [0, 5, 15, 40]
    runs, rows = gd.run(sweep, progress=False), rows_of(sweep.base)
    drawn = [function(sweep.base, rows, 40, Size(4096, 128, 2), seed).mean[steps] for seed in range(8)]
    told = [metrics(f, rows, sweep.base.loss) for f in drawn]
    for name in ("train_loss", "test_loss"):
        values, limit = runs[name].transpose("seed", "step").values, np.stack([one[name] for one in told])
        error = np.hypot(values.std(0, ddof=1) / 32**0.5, limit.std(0, ddof=1) / 8**0.5)
        assert np.all(np.abs(values.mean(0) - limit.mean(0)) < 4 * error), name
    assert abs(limit.mean(0)[-1] / limit.mean(0)[0] - 1) > 0.1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model.hidden": (8,)}, "several hidden layers"),
        ({"model.hidden": (8, 9)}, "layers of one width"),
        ({"model.activation": "relu"}, "erf, tanh, identity"),
        ({"optimizer.weight_decay": 0.1}, "0.0"),
        ({"steps": 54}, "at most 53"),
    ],
)
def test_the_assumption_that_fails_is_named(changes, words):
    ((path, came, allowed),) = DeepFeatureNetwork().failures(network(100, **changes))
    assert words in f"{path}: got {came}; allowed: {allowed}"
