"""Order parameters of Saad & Solla: integrals by quadrature, the equation from single updates, training beside it."""

import itertools

import numpy as np
import pytest
from scipy.special import erf

import grokdyn as gd
from grokdyn.theory.soft_committee import dynamics, error, fourth, slopes, third

OVERLAPS = np.array([[1.1, 0.2, 0.5, -0.1], [0.2, 0.8, 0.3, 0.4], [0.5, 0.3, 1.0, 0.1], [-0.1, 0.4, 0.1, 0.9]])


def g(h):
    return erf(h / np.sqrt(2))


def slope(h):
    return np.sqrt(2 / np.pi) * np.exp(-(h**2) / 2)


def nodes(C, points=48):
    """Return correlated Gaussian points [n, len(C)] and weights that integrate smooth functions of them."""
    z, w = np.polynomial.hermite_e.hermegauss(points)
    grid = np.array(list(itertools.product(z, repeat=len(C))))
    weights = np.prod(np.array(list(itertools.product(w / w.sum(), repeat=len(C)))), axis=1)
    return grid @ np.linalg.cholesky(C).T, weights


@pytest.mark.parametrize("places", [(0, 1, 2), (1, 0, 2), (2, 1, 0)])
def test_integrals_of_three_are_those_of_quadrature(places):
    x, w = nodes(OVERLAPS[:3, :3])
    one, two, three = (x[:, place] for place in places)
    expected = w @ (slope(one) * two * g(three))
    np.testing.assert_allclose(third(OVERLAPS[:3, :3])[places], expected, rtol=1e-8)


@pytest.mark.parametrize("places", [(0, 1, 2, 3), (0, 0, 2, 3), (1, 0, 2, 2), (0, 0, 0, 0), (0, 1, 0, 1)])
def test_integrals_of_four_are_those_of_quadrature(places):
    used = sorted(set(places))
    x, w = nodes(OVERLAPS[np.ix_(used, used)], points=24 if len(used) == 4 else 48)
    one, two, three, four = (x[:, used.index(place)] for place in places)
    expected = w @ (slope(one) * slope(two) * g(three) * g(four))
    np.testing.assert_allclose(fourth(OVERLAPS, 4)[places], expected, rtol=1e-5)


def test_slopes_are_the_mean_changes_of_one_update():
    """J_i += (eta/N) delta_i x changes R by eta/N delta_i y_n, Q also by eta^2/N delta_i delta_k x.x/N, x.x/N to 1."""
    K, rate, C = 2, 0.7, 0.4 * OVERLAPS
    x, w = nodes(C, points=24)
    residual = g(x[:, K:]).sum(1) - g(x[:, :K]).sum(1)
    delta = slope(x[:, :K]) * residual[:, None]
    drift = np.einsum("n,ni,nj->ij", w, delta, x)
    kicks = np.einsum("n,ni,nk->ik", w, delta, delta)
    dQ, dR = slopes(C, K, rate)
    np.testing.assert_allclose(dR, rate * drift[:, K:], rtol=1e-5)
    np.testing.assert_allclose(dQ, rate * (drift[:, :K] + drift[:, :K].T) + rate**2 * kicks, rtol=1e-5)
    np.testing.assert_allclose(error(C[:2, :2], C[:2, 2:], C[2:, 2:]), w @ residual**2 / 2, rtol=1e-5)


def test_the_plateau_of_the_symmetric_phase_and_the_escape_from_it():
    """Two units of each, eta = 1: error near .02 while units do not differ, then exponentially to 0."""
    one = np.eye(2)
    found = dynamics(np.array([0, 10, 20, 30, 150]), 0.25 * one, 0.03 * one, one, 1.0)
    assert np.all((found.error[1:4] > 0.018) & (found.error[1:4] < 0.024))
    assert found.error[-1] < 3e-3
    spread = found.R[:, 0, 0] - found.R[:, 0, 1]
    assert spread[3] < 0.2
    assert spread[-1] > 0.9
    perfect = dynamics(np.array([0.0, 5.0]), one, one, one, 1.0)
    np.testing.assert_allclose(perfect.error, 0, atol=1e-12)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="Q, R, T: got shapes"):
        dynamics(np.arange(3), np.eye(2), np.eye(3), np.eye(3), 1.0)
    with pytest.raises(ValueError, match="times: got times that fall"):
        dynamics(np.array([1.0, 0.0]), np.eye(2), np.eye(2), np.eye(2), 1.0)


def online(N, **changes):
    return gd.Experiment(
        task=gd.TeacherStudent(teacher=gd.SoftCommittee(along=1.0, spread=0.0), dimension=N, points=2000, fresh=True),
        model=gd.SoftCommittee(along=0.3, spread=0.4),
        loss=gd.MSE(),
        optimizer=gd.SGD(learning_rate=0.5 / N),
        batch_size=1,
        steps=10 * N,
        record=gd.Every(N),
        probes=("loss", "order_parameters"),
    ).replace(**changes)


@pytest.mark.slow
def test_training_is_on_the_equation_within_its_spread():
    """N = 100, 32 runs, each from its own first overlaps: the mean distance at every record within 4 standard errors,
    and what is left of order 1/N; the recorded error is half the test loss of 2000 rows, to 5 standard errors."""
    ds = gd.run(gd.Sweep(online(100), {"seed": list(range(32))}), progress=False)
    a = ds.step.values / 100
    off = {"student_overlap": [], "teacher_overlap": [], "generalisation_error": []}
    for seed in range(32):
        one = ds.isel(seed=seed)
        told = dynamics(a, one.student_overlap[0], one.teacher_overlap[0], np.eye(2), 1.0)
        for name, values in zip(off, told, strict=True):
            off[name].append(one[name].values - values)
    for name, each in off.items():
        each = np.asarray(each)[:, 1:]
        error = each.std(0, ddof=1) / np.sqrt(32)
        assert np.all(np.abs(each.mean(0)) < 4 * error + 2 / 100), name
    np.testing.assert_allclose(ds.generalisation_error, ds.test_loss / 2, rtol=5 * np.sqrt(8 / 2000))
