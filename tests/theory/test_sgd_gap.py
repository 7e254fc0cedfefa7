"""The gap that an update opens against all train sets and all batches of a small linear model, one by one."""

import itertools

import numpy as np
import pytest

import grokdyn as gd
from grokdyn.theory import sgd_gap

RNG = np.random.default_rng(0)
M, N, D, RATE = 7, 4, 2, 0.3
X, Y, W = RNG.standard_normal((M, D)), RNG.standard_normal(M), RNG.standard_normal(D)


def loss(w, rows):
    return np.mean([(X[i] @ w - Y[i]) ** 2 / 2 for i in rows])


def gradient(w, rows):
    return np.mean([(X[i] @ w - Y[i]) * X[i] for i in rows], axis=0)


def batches(train, size, replaced):
    return itertools.product(train, repeat=size) if replaced else itertools.combinations(train, size)


def changes(rate, size, replaced):
    """Yield by how much an update changes test loss - train loss, for every train set and every batch of it."""
    for train in itertools.combinations(range(M), N):
        test = [i for i in range(M) if i not in train]
        for batch in batches(train, size, replaced):
            after = W - rate * gradient(W, batch)
            yield (loss(after, test) - loss(after, train)) - (loss(W, test) - loss(W, train))


@pytest.mark.parametrize(("size", "replaced"), [(1, False), (2, False), (N, False), (2, True), (3, True)])
def test_the_first_update_opens_what_an_enumeration_says(size, replaced):
    # Losses are quadratic: the change is a rate + b rate^2, and two rates give a.
    whole, half = (np.mean(list(changes(rate, size, replaced))) for rate in (RATE, RATE / 2))
    first = 4 * half - whole
    gradients = np.stack([gradient(W, [i]) for i in range(M)])
    assert sgd_gap.expected_change(gradients, N, RATE) == pytest.approx(first, rel=1e-10)


def test_the_gap_is_the_sum_of_what_updates_open():
    steps, trace = np.array([0, 1, 3, 7]), np.array([[4.0, 2.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]])
    found = sgd_gap.gap(steps, trace, [0.1, 0.2], 10)
    np.testing.assert_allclose(found, [[0, 0.03, 0.06, 0.1], [0, 0.02, 0.06, 0.14]], rtol=1e-12)
    np.testing.assert_allclose(sgd_gap.gap(steps, trace[1], 0.2, 10), found[1])


def test_an_ensemble_of_runs_opens_it_in_the_engine():
    """Runs of one update, of a linear network with many train sets: the mean over them, to 5 standard errors."""
    rate, n = 1e-3, 20
    task = gd.LinearTeacher(dimension=5, points=220, train_points=n, noise_std=1.0)
    base = gd.Experiment(
        task=task,
        model=gd.MLP(hidden=(), init="normal"),
        loss=gd.MSE(),
        optimizer=gd.SGD(learning_rate=rate),
        steps=1,
        record=gd.Every(1),
        batch_size=4,
        probes=("loss", gd.GradientCovariance(rows=200, part="test")),
        dtype="float64",
    )
    ds = gd.run(gd.Sweep(base, {"seed": list(range(800))}), progress=False)
    opened = (ds.test_loss - ds.train_loss).diff("step").isel(step=0).values
    said = rate * ds.gradient_covariance.isel(step=0).values / n
    off = opened - said
    assert abs(off.mean()) < 5 * off.std(ddof=1) / np.sqrt(len(off))
    # It is far from no gap at all.
    assert opened.mean() > 5 * opened.std(ddof=1) / np.sqrt(len(off))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"shape \(7, 2\), 7 train rows"):
        sgd_gap.expected_change(X, 7, RATE)
