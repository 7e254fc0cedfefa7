"""Errors on the circle by kernel regression done out in full, and exponents by least errors of many points."""

import numpy as np
import pytest

from grokdyn.theory import filters
from grokdyn.theory.circle import aliased, errors, exponents, power_law

N, NOISE = 7, 0.3
LAM, POWER = power_law(12, 1.4), power_law(12, 1.9)
PROFILES = {
    "ridge": lambda l: l / (l + 0.05),
    "descent": lambda l: 1 - (1 - 0.5 * l) ** 9,
    "interpolation": np.ones_like,
}


def predicted(profile, rng, draws=1500):
    """Return errors on a grid and at the points [draws], by matrices of the kernel, for draws of shift and noise."""
    k, lags = np.arange(1, 13), np.arange(N) * 2 * np.pi / N

    def kernel(apart):
        return 1 + 2 * np.cos(apart[..., None] * k) @ LAM[1:]

    phase = rng.uniform(0, 2 * np.pi, k.shape)

    def target(t):
        return 1 + 2 * np.cos(t[..., None] * k + phase) @ np.sqrt(POWER[1:])

    values, vectors = np.linalg.eigh(kernel(np.subtract.outer(lags, lags)) / N)
    solve = vectors * (profile(values) / values) @ vectors.T / N
    grid, begin = np.arange(25) * 2 * np.pi / 25, rng.uniform(0, 2 * np.pi, (draws, 1))
    t = begin + lags
    y = target(t) + NOISE * rng.standard_normal(t.shape)
    a = y @ solve
    test = np.einsum("dgn,dn->dg", kernel(grid[:, None] - t[:, None]), a) - target(grid)
    train = a @ kernel(np.subtract.outer(lags, lags)) - y
    return np.square(test).mean(1), np.square(train).mean(1)


@pytest.mark.parametrize("name", PROFILES)
def test_errors_are_means_over_draws_of_kernel_regression(name):
    """Within 4 standard errors."""
    profile, among = PROFILES[name], aliased(N, LAM, POWER)
    told = errors(profile(among.seen), among, NOISE)
    test, train = predicted(profile, np.random.default_rng(3))
    assert abs(test.mean() - told.test) < 4 * test.std() / len(test) ** 0.5
    assert abs(train.mean() - told.train) < 4 * train.std() / len(train) ** 0.5 + 1e-12


def test_points_that_tell_all_frequencies_apart_leave_each_mode_to_itself():
    among = aliased(25, LAM, POWER)
    l = np.abs(np.fft.fftfreq(25, 1 / 25).astype(int))
    np.testing.assert_allclose(among.seen, LAM[l])
    h = filters.flow(among.seen, 3.0).fitted
    told = np.sum((1 - h) ** 2 * POWER[l] + h**2 * NOISE**2 / 25)
    np.testing.assert_allclose(errors(h, among, NOISE).test, told, rtol=1e-12)


def test_least_errors_fall_with_the_exponents_of_the_limit():
    """From 1000 to 4000 points, to .03; ridge regression saturates, interpolation does not get better."""
    times = np.geomspace(0.5, 3000, 300)[:, None]
    for power in (1.0, 5.0):
        least = []
        for points in (1000, 4000):
            among = aliased(points, power_law(4 * points, 1.5), power_law(4 * points, power + 1))
            found = [
                filters.flow(among.seen, times),
                filters.ridge(among.seen, 1 / times),
                filters.ridge(among.seen, 0.0),
            ]
            least.append([errors(one.fitted, among, 1.0).test.min() for one in found])
        measured = np.log(np.divide(*least)) / np.log(4)
        np.testing.assert_allclose(measured, exponents(1.5, power), atol=0.03)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="points, power: got 0"):
        aliased(0, LAM, POWER)
    with pytest.raises(ValueError, match="allowed: above 1, above 0"):
        exponents(1.0, 2.0)
