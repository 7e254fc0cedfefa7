"""Optimizers that take more than the gradient at the parameters, each against its loop written down in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import grokdyn as gd
from grokdyn.engine.plan import cohorts as plan
from grokdyn.optim.noise import stable
from grokdyn.optim.winsorised import order_statistic
from grokdyn.spec import base
from grokdyn.train.gradient import row_gradients
from tests import cases
from tests.contract import arrays
from tests.optim.landscape import START, descended, followed, key, slope
from tests.train.lanes import taken_apart

pytestmark = pytest.mark.usefixtures("x64")
RATE, STEPS = 0.1, 6
SGD = gd.SGD(learning_rate=RATE)


def unit(v):
    return v / np.linalg.norm(v)


def test_gam_is_its_released_loop():
    def flatter(w, _):
        g0 = slope(w)
        g1 = slope(w + 0.05 * unit(g0))
        far = w + 0.4 * unit(g1 - g0)
        g2 = slope(far)
        g3 = slope(far + 0.05 * unit(g2))
        p, q = g0 + (1 - 0.3) * g2, 0.6 * g1 + (1 - 0.6) * g3
        return q - 0.2 * (p - (p @ q) / (q @ q) * q)

    gam = gd.GAM(inner=SGD, rho=0.4, radius=0.05, beta_0=0.3, beta_1=0.6, gamma=0.2)
    np.testing.assert_allclose(followed(gam), descended(RATE, flatter), rtol=1e-11)


def normals(key):
    """Return what the package draws for the two tensors, as one vector."""
    keys = jax.random.split(key, 2)
    return np.concatenate(
        [np.ravel(jax.random.normal(k, shape, "float64")) for k, shape in zip(keys, [(3, 4), (3,)], strict=True)]
    )


def test_entropy_sgd_is_its_released_loop():
    def pull(w, t):
        gamma, mean, place = 0.3 * (1 + 0.1) ** t, w, w
        for i in range(4):
            noise = 0.2 / np.sqrt(0.5 * 0.05) * normals(jax.random.fold_in(key(t), i))
            place = place - 0.05 * (slope(place) + gamma * (place - w) + noise)
            mean = 0.75 * mean + 0.25 * place
        return w - mean

    entropy = gd.EntropySGD(inner=SGD, steps=4, inner_rate=0.05, gamma_0=0.3, gamma_1=0.1, eps=0.2)
    np.testing.assert_allclose(followed(entropy), descended(RATE, pull), rtol=1e-11)


def test_ivon_is_its_published_loop():
    b1, b2, samples, d = 0.8, 0.9, 50.0, 0.2
    m, u, h, path = START, np.zeros_like(START), np.full_like(START, 0.5), []
    for t in range(STEPS):
        spread = 1 / np.sqrt(samples * (h + d))
        noise = normals(key(t))
        g = slope(m + spread * noise)
        c = g * (spread * noise) / spread**2
        u = b1 * u + (1 - b1) * g
        h = b2 * h + (1 - b2) * c + 0.5 * (1 - b2) ** 2 * (h - c) ** 2 / (h + d)
        m = m - RATE * (u / (1 - b1 ** (t + 1)) + d * m) / (h + d)
        path.append(m)
    ivon = gd.IVON(learning_rate=RATE, b1=b1, b2=b2, samples=samples, curvature=0.5, weight_decay=d)
    np.testing.assert_allclose(followed(ivon), path, rtol=1e-10)


@pytest.mark.parametrize("power", [0.0, 2.0])
def test_schedule_free_is_its_published_loop(power):
    """The weight of an iterate is that of its number to a power: with 0 the average is the plain one."""
    x = z = START
    path, iterates = [], []
    for t in range(STEPS):
        y = 0.3 * z + 0.7 * x
        z = z - RATE * (slope(y) + 0.5 * y)
        c = (1 + power) / (t + 1 + power)
        x = (1 - c) * x + c * z
        path.append(x)
        iterates.append(z)
    free = gd.ScheduleFree(inner=gd.SGD(learning_rate=RATE, weight_decay=0.5), beta=0.7, power=power)
    np.testing.assert_allclose(followed(free), path, rtol=1e-12)
    if power == 0:
        np.testing.assert_allclose(path[-1], np.mean(iterates, axis=0), rtol=1e-12)


def test_a_filter_around_what_keeps_memory_of_its_looks_changes_nothing_but_the_gradient():
    free = gd.ScheduleFree(inner=SGD, beta=0.7)
    doubled = gd.GrokfastEMA(inner=free, alpha=0.0, lamb=1.0)
    exact = followed(free.replace(inner=gd.SGD(learning_rate=2 * RATE)))
    np.testing.assert_allclose(followed(doubled), exact, rtol=1e-12)
    ivon = gd.IVON(learning_rate=RATE)
    np.testing.assert_array_equal(followed(gd.GrokfastEMA(inner=ivon, lamb=0.0)), followed(ivon))


def test_equal_singular_values_leave_the_directions():
    def equal(w, _):
        g = slope(w)
        U, S, Vt = np.linalg.svd(g[:12].reshape(3, 4), full_matrices=False)
        return np.concatenate([(U @ np.diag(np.minimum(S / 0.5, 1)) @ Vt).ravel(), g[12:]])

    np.testing.assert_allclose(followed(gd.EGD(inner=SGD, floor=0.5)), descended(RATE, equal), rtol=1e-11)
    alone = gd.EGD(inner=SGD, only=("v",))
    with pytest.raises(gd.SpecError, match=r"optimizer.only: got 'v'; allowed: matrices of this model: W_0, W_1"):
        plan.cohorts([base.check(cases.tiny(optimizer=alone))], None, jax.local_devices()[:1])


def test_noise_is_the_same_at_all_looks_of_an_update_and_another_at_the_next():
    noise = gd.GradientNoise(inner=SGD, scale=0.3, tail=2.0)
    found = followed(gd.GradientNoise(inner=gd.SAM(inner=SGD, rho=0.0), scale=0.3))
    np.testing.assert_allclose(found, followed(noise), rtol=1e-12)
    seen = (np.vstack([START, found[:-1]]) - found) / RATE - [slope(w) for w in np.vstack([START, found[:-1]])]
    assert len(np.unique(np.round(seen, 9))) == seen.size


@pytest.mark.parametrize("tail", [2.0, 1.5, 1.0])
def test_noise_has_the_law_that_it_says(tail):
    """Its characteristic function, at points where that of n draws is within five standard errors of the law's."""
    n, u = 20_000, np.asarray([0.3, 1.0, 2.0])
    draws = np.asarray(stable(jax.random.key(0), (n,), tail))
    found = np.cos(u[:, None] * draws).mean(axis=1)
    error = np.sqrt((1 + np.exp(-((2 * u) ** tail))) / 2 / n)
    assert np.all(np.abs(found - np.exp(-(u**tail))) < 5 * error)
    if tail == 1:
        assert scipy.stats.kstest(draws, "cauchy").pvalue > 1e-3
    if tail == 2:
        np.testing.assert_allclose(draws.var(), 2, rtol=5 * np.sqrt(2 / n))


def winsorised_mean(rows, level):
    """Transcribe the released definition, entry by entry."""
    low, high = (np.percentile(rows, q, axis=0, method="nearest") for q in (level, 100 - level))
    return np.clip(rows, low, high).mean(axis=0)


RANKS = (0, 3, 20)


@jax.jit
def winsorised(optimizer, rows, counts):
    """Return an optimizer's mean over rows, and some of their order statistics."""
    ranked = [order_statistic(rows, counts[:, None, None], jnp.int32(k)) for k in RANKS]
    return optimizer.mean({"W": rows}, counts)["W"], ranked


@pytest.mark.parametrize("level", [0.0, 7.0, 25.0, 50.0])
def test_a_winsorised_mean_is_that_of_percentiles(level):
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(21, 4, 3)).round(1)  # with ties
    padded = np.concatenate([rows, np.full((4, 4, 3), 1e9)])
    found, ranked = winsorised(arrays(gd.Winsorised(inner=SGD, level=level)), padded, np.arange(25) < 21)
    np.testing.assert_allclose(found, winsorised_mean(rows, level), rtol=1e-12)
    for k, one in zip(RANKS, ranked, strict=True):
        np.testing.assert_array_equal(one, np.sort(rows, axis=0)[k])


def test_gradients_of_rows_have_the_gradient_as_mean_and_are_winsorised_in_a_run():
    wide = {"dtype": "float64", "loss": gd.CrossEntropy(precision="float64"), "steps": 1}
    experiment = cases.tiny(**wide, optimizer=gd.SGD(learning_rate=RATE), record=gd.At((1,)), probes=("loss",))
    run = taken_apart(experiment, padding=3)
    w, state = run.state.params, run.state

    def losses(params):
        return experiment.loss.rows(experiment.model.forward(params, run.rows.inputs).logits, run.rows.labels)

    exact = {name: g[:24] for name, g in jax.jit(jax.jacrev(losses))(w).items()}
    rows, counts = jax.jit(row_gradients(run.program, run.lane, run.rows, state.step, None, state.model))(w)
    assert counts.sum() == 24
    for name in w:
        np.testing.assert_allclose(rows[name][:24], exact[name], rtol=1e-9, atol=1e-14)
    found = gd.run(
        experiment.replace(
            optimizer=gd.Winsorised(inner=experiment.optimizer, level=10.0),
            record=gd.At((0, 1)),
            probes=("update_norm", "distance_from_init"),
        ),
        progress=False,
    )
    means = [winsorised_mean(np.asarray(exact[name]), 10.0).ravel() for name in w]
    moved = RATE * np.linalg.norm(np.concatenate(means))
    np.testing.assert_allclose(found.update_norm[0], moved, rtol=1e-9)
    np.testing.assert_allclose(found.distance_from_init[1], moved, rtol=1e-9)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"optimizer": gd.SAM(inner=gd.Winsorised(inner=SGD))}, "inner: got winsorised inside"),
        (
            {"optimizer": gd.Winsorised(inner=SGD), "model": gd.MLP(hidden=(4,), norm="batch")},
            "kind: got a model whose rows have no gradients of their own",
        ),
        ({"optimizer": gd.IVON(decay_to="init")}, "decay_to: got 'init'; allowed: zero"),
    ],
)
def test_what_cannot_be_winsorised_or_sampled_is_told(changes, told):
    with pytest.raises(gd.SpecError, match=f"optimizer.{told}"):
        plan.cohorts([base.check(cases.tiny(**changes))], None, jax.local_devices()[:1])
