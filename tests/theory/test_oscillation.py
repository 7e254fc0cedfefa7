"""The map of a strong feature against known orbits, its closed forms and gradient descent on the network itself."""

import numpy as np
import pytest
from scipy.optimize import brentq

from grokdyn.theory import oscillation


def step(c, F):
    return F * (1 - 4 * c * (F - 1)) ** 2


@pytest.mark.parametrize(("c", "cycle"), [(0.26, (0.788, 1.174)), (0.28, (0.633, 1.260))])
def test_orbits_just_beyond_the_window_s_start_have_the_known_cycle_of_two(c, cycle):
    assert sorted(oscillation.orbit(c, 5000)[-2:]) == pytest.approx(cycle, abs=6e-4)
    # Found apart from any orbit: the fixed point of two steps below 1.
    low = brentq(lambda F: step(c, step(c, F)) - F, 0.4, 0.99)
    assert sorted(oscillation.orbit(c, 5000)[-2:])[0] == pytest.approx(low, abs=1e-9)


KNOWN = {0.24: 0.0, 0.26: 0.019, 0.28: 0.054, 0.30: 0.083, 0.32: 0.101, 0.35: 0.115, 0.38: 0.212}


@pytest.mark.parametrize("c", KNOWN)
def test_the_mean_shortfall_is_the_known_one_and_its_logarithms_cancel(c):
    assert oscillation.mean_shortfall(c, 20_000, leave=2000) == pytest.approx(KNOWN[c], abs=6e-3)
    F = oscillation.orbit(c, 20_000)[2000:]
    # F is bounded, so the mean of log (1 - 4 c (F - 1)) is 0: the reason for the mean of 1 - F being above 0.
    assert abs(np.mean(np.log(1 - 4 * c * (F - 1)))) < 2e-3


def test_the_window_is_where_the_fixed_point_loses_its_stability_and_where_a_factor_is_first_negative():
    low, high = oscillation.window()
    assert abs(1 - 8 * low) == 1
    for c in (low - 0.01, low + 0.01):
        assert (abs(oscillation.orbit(c, 4000, first=0.9)[-1] - 1) < 1e-6) == (c < low)
    for c in (high - 1e-3, high + 1e-3):
        least = np.min(1 - 4 * c * (step(c, np.linspace(1e-3, 1.2, 100_000)) - 1))
        assert (least > 0) == (c < high)
    assert high == pytest.approx(0.4, abs=1e-3)


def test_gradient_descent_on_one_row_is_the_map_and_the_growth():
    """Filters of positive products, u and v orthogonal: F and w . v of the network, step by step."""
    rng, m, rho, c = np.random.default_rng(0), 8, 1e-4, 0.35
    a, b = rng.uniform(0.1, 0.4, m), rng.uniform(1e-9, 2e-9, m)
    F = oscillation.orbit(c, 30, first=np.mean(a**2))
    logs = np.log(b[0]) + np.cumsum(np.append(0, oscillation.weak_growth(c, rho, 1 - F[:-1])))
    rate = c * m
    for t in range(30):
        residual = np.mean(a**2) + np.mean(b**2) - 1
        assert residual + 1 == pytest.approx(F[t], rel=1e-6)
        assert np.log(b[0]) == pytest.approx(logs[t], abs=1e-12)
        a, b = a - rate * 2 * residual * 2 * a / m, b - rate * 2 * residual * 2 * b * rho**2 / m


@pytest.mark.parametrize("given", [{"c": 0.0, "steps": 1}, {"c": 0.3, "steps": -1}, {"c": 0.3, "steps": 1, "first": 0}])
def test_mistakes_are_told(given):
    with pytest.raises(ValueError, match="c, first, steps: got"):
        oscillation.orbit(**given)
