"""Learning curves of linear regression: a table of values, limits, and the training kernel over 64 seeds."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

import grokdyn as gd
from grokdyn.theory.linear import best_stopping, learning_curves, marchenko_pastur

# Advani & Saxe (2017), s_w^2 = 1, s_0^2 = .1, s_e^2 = .2: a -> test and train error at TIMES.
TIMES = np.array([0, 0.5, 2, 10, 100])
TABLE = {
    0.5: ([1.30, 1.012, 0.886, 0.917, 0.950], [1.30, 0.403, 0.069, 0.002, 0]),
    0.9: ([1.30, 0.836, 0.651, 0.705, 1.366], [1.30, 0.353, 0.089, 0.021, 0.002]),
    2.0: ([1.30, 0.527, 0.360, 0.391, 0.400], [1.30, 0.258, 0.116, 0.100, 0.100]),
}
SPREADS = {"teacher_std": 1.0, "noise_std": np.sqrt(0.2), "init_std": np.sqrt(0.1)}


@pytest.mark.parametrize("ratio", TABLE)
def test_curves_are_those_of_the_table(ratio):
    train, test = learning_curves(TIMES, ratio, **SPREADS)
    np.testing.assert_allclose(test, TABLE[ratio][0], atol=6e-4)
    np.testing.assert_allclose(train, TABLE[ratio][1], atol=6e-4)


@pytest.mark.parametrize("ratio", [0.2, 1.0, 3.0])
def test_the_density_has_the_moments_of_its_law(ratio):
    """Mass min(1, a), mean a, mean square a + a^2."""
    l, weight = marchenko_pastur(ratio)
    np.testing.assert_allclose(weight.sum(), min(1, ratio), rtol=1e-6)
    np.testing.assert_allclose(weight @ l, ratio, rtol=1e-9)
    np.testing.assert_allclose(weight @ l**2, ratio + ratio**2, rtol=1e-9)


def test_small_steps_are_the_flow_and_large_ones_diverge():
    flow, small = learning_curves(TIMES, 0.5, **SPREADS), learning_curves(TIMES, 0.5, **SPREADS, rate=1e-5)
    np.testing.assert_allclose(small.test, flow.test, rtol=1e-4)
    assert learning_curves(np.array([500.0]), 0.5, **SPREADS, rate=1.0).train > 1e3  # 2 / l_+ is .69


@pytest.mark.parametrize("rate", [0.2, 0.07, 1 / 3])
def test_steps_that_jump_over_the_minimum_are_followed_at_every_one(rate):
    """rate * k / rate is not k for every k, and a negative number has no power of 2.9999999999999996."""
    steps = np.arange(300)
    assert np.any(rate * steps / rate != steps) or rate != 0.2
    found = learning_curves(rate * steps, 4.0, **SPREADS, rate=rate)
    l, weight = marchenko_pastur(4.0)
    assert (rate * l > 1).any() == (rate > 0.12)
    d, expected = np.ones_like(l), []
    for _ in steps:
        expected.append(np.sum(weight * (1.1 * l + 0.2) * d**2) / 4 + 0.75 * 0.2)
        d = d * (1 - rate * l)
    np.testing.assert_allclose(found.train, expected, rtol=1e-9)
    assert np.isfinite(found.test).all()


def test_a_ratio_below_zero_is_refused():
    with pytest.raises(ValueError, match="ratio: got -1"):
        learning_curves(TIMES, -1)


def by_quadrature(time, ratio, teacher, noise, start):
    """Return the flow's test error from adaptive quadrature of the density as it is written."""
    low, high = (np.sqrt(ratio) - 1) ** 2, (np.sqrt(ratio) + 1) ** 2

    def integrand(angle):  # l from the lower to the upper edge, as sines: the roots are smooth in the angle
        l = low + (high - low) * np.sin(angle) ** 2
        density = np.sqrt((high - l) * (l - low)) / (2 * np.pi * l)
        d = np.exp(-l * time)
        mode = (teacher + start) * d**2 + noise / l * (1 - d) ** 2
        return density * mode * (high - low) * np.sin(2 * angle)

    inside = quad(integrand, 0, np.pi / 2, epsabs=1e-13, epsrel=1e-13, limit=400)[0]
    return noise + inside + max(0, 1 - ratio) * (teacher + start)


@pytest.mark.parametrize("ratio", [0.4, 1.3, 3.0])
@pytest.mark.parametrize(("noise", "start"), [(0.2, 0.1), (1.0, 0.0)])
def test_the_best_time_is_that_of_a_search_and_the_end_that_of_the_curve(ratio, noise, start):
    found = best_stopping(ratio, 1.0, np.sqrt(noise), np.sqrt(start))
    searched = minimize_scalar(
        lambda log_time: by_quadrature(np.exp(log_time), ratio, 1.0, noise, start),
        (np.log(found.time) - 2, np.log(found.time) + 1),
        tol=1e-12,
    )
    np.testing.assert_allclose(found.error, searched.fun, rtol=1e-10)
    np.testing.assert_allclose(np.log(found.time), searched.x, atol=1e-5)  # flat at the least: the root of rounding
    np.testing.assert_allclose(found.last, by_quadrature(1e4, ratio, 1.0, noise, start), rtol=1e-10)
    times = np.geomspace(found.time / 1000, 1000 * found.time, 400)
    assert learning_curves(times, ratio, 1.0, np.sqrt(noise), np.sqrt(start)).test.min() >= found.error - 1e-12


def test_the_best_time_of_one_eigenvalue_is_a_logarithm():
    """For many rows a weight all l are a (1 + O(a^-1/2)); there t = log(1 + a (s_w^2 + s_0^2) / s_e^2) / a."""
    found = best_stopping(1e6, 1.0, 2.0, 0.5)
    np.testing.assert_allclose(found.time, np.log1p(1e6 * 1.25 / 4) / 1e6, rtol=1e-3)
    np.testing.assert_allclose(best_stopping(1.0, 1.0, 1.0).last, np.inf)
    assert best_stopping(2.0, 0.0, 1.0).time == 0  # nothing to learn


@pytest.mark.parametrize(
    ("numbers", "told"),
    [((-1.0,), "ratio: got -1.0"), ((1.0, 1.0, 0.0), "noise_std: got 0.0; allowed: a number above 0")],
)
def test_what_has_no_best_time_is_refused(numbers, told):
    with pytest.raises(ValueError, match=told):
        best_stopping(*numbers)


def sixty_four(rate, steps, points):
    """Return the errors of 64 seeds at the given steps of descent, by number of train points of 200 dimensions."""
    experiment = gd.Experiment(
        task=gd.LinearTeacher(dimension=200, points=600, train_points=400, noise_std=SPREADS["noise_std"]),
        model=gd.MLP(hidden=(), init="normal", init_scale=SPREADS["init_std"]),
        loss=gd.MSE(reduction="sum"),
        optimizer=gd.SGD(learning_rate=rate / 2),
        steps=int(steps[-1]),
        record=gd.At(tuple(steps.tolist())),
        probes=(gd.Loss(),),
    )
    return gd.run(gd.Sweep(experiment, {"task.train_points": points, "seed": range(64)}))


LATE = [pytest.param(0.05, times, marks=pytest.mark.slow) for times in (slice(3, 4), slice(4, 5))]  # 2,000 steps


@pytest.mark.parametrize(("rate", "times"), [(0.01, slice(0, 3)), *LATE])
def test_sixty_four_networks_of_200_follow_the_table(rate, times):
    """Mean over seeds within 3 standard errors of the flow's table, and of the exact curve of these steps.

    Early times take small steps: descent differs from the flow by rate l^2 t in the exponent.
    """
    points = [int(200 * ratio) for ratio in TABLE]
    found = sixty_four(rate, np.rint(TIMES[times] / rate).astype(int), points)
    for ratio, count in zip(TABLE, points, strict=True):
        exact, runs = learning_curves(TIMES[times], ratio, **SPREADS, rate=rate), found.sel(train_points=count)
        for name, told, of_steps in (("test", TABLE[ratio][0], exact.test), ("train", TABLE[ratio][1], exact.train)):
            values = runs[f"{name}_loss"].values
            error = values.std(axis=0, ddof=1) / np.sqrt(64)
            # The table has three digits; what is left of a train error at late times is below them.
            assert np.all(np.abs(values.mean(axis=0) - told[times]) < 3 * error + 6e-4), (ratio, name)
            assert np.all(np.abs(values.mean(axis=0) - of_steps) < 3 * error + 1e-6), (ratio, name)
