"""Interpolants of least norm by a certificate, in a case known in closed form, and against noise."""

import numpy as np
import pytest

from grokdyn.theory.univariate import least_norm, risk, spline, spline_risk

RNG = np.random.default_rng(2)


def noise(n):
    return np.sort(RNG.uniform(-1, 1, n)), RNG.standard_normal(n)


@pytest.mark.parametrize("n", [3, 8, 30])
def test_no_interpolant_costs_less(n):
    """The bound is that of kinks anywhere: the grid leaves 1e-3 of the cost at most."""
    x, y = noise(n)
    f, g = least_norm(x, y), spline(x, y)
    for one in (f, g):
        np.testing.assert_allclose(one(x), y, atol=1e-8)
        np.testing.assert_allclose(one.cost, np.sqrt(1 + one.kinks**2) @ np.abs(one.bends), rtol=1e-6)
    assert f.bound <= f.cost * (1 + 1e-9)
    assert f.cost <= g.cost * (1 + 1e-9)
    assert f.cost - f.bound < 1e-3 * f.cost
    assert len(f.kinks) <= n


def test_one_kink_is_found_where_no_point_is():
    """Of |t - .2| at four points: 2 sqrt(1.04), where the spline has two kinks."""
    x = np.array([-1.0, -0.5, 0.5, 1.0])
    f = least_norm(x, np.abs(x - 0.2))
    np.testing.assert_allclose([f.cost, f.bound], 2 * 1.04**0.5, rtol=3e-4)
    t = np.linspace(-1, 1, 9)
    np.testing.assert_allclose(f(t), np.abs(t - 0.2), atol=0.03)
    assert spline(x, np.abs(x - 0.2)).cost > 1.05 * f.cost


@pytest.mark.parametrize("power", [1.0, 2.0, 3.5])
def test_splines_of_noise_have_the_risk_of_a_mean_of_two(power):
    """Whatever the gaps, within 4 standard errors of 300 splines."""
    found = [risk(spline(x, y), x, power, 50) for x, y in (noise(25) for _ in range(300))]
    assert abs(np.mean(found) - spline_risk(power)) < 4 * np.std(found) / 300**0.5


def test_constants_of_the_spline():
    np.testing.assert_allclose([spline_risk(2.0), spline_risk(1.0)], [2 / 3, 0.6476], atol=1e-4)


def test_at_least_norm_squares_overshoot_and_sizes_do_not():
    """40 draws of 40 points: L_1 risk is no more than twice the spline's in median, L_2 risk more than twice."""
    f = [(least_norm(x, y, 8), x) for x, y in (noise(40) for _ in range(40))]
    first, second = (np.median([risk(one, x, power, 50) for one, x in f]) / spline_risk(power) for power in (1.0, 2.0))
    assert first < 2 < second


@pytest.mark.parametrize("x", [[0.0, 1.0], [0.0, 1.0, 1.0], [0.0, 2.0, 1.0]])
def test_points_that_do_not_rise_are_refused(x):
    with pytest.raises(ValueError, match="rising x"):
        least_norm(np.array(x), np.zeros(len(x)))
    with pytest.raises(ValueError, match="above 0"):
        spline_risk(0.0)
