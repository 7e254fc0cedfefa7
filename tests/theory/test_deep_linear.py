"""Modes against their equation, the law of starts against draws, and networks from small weights against both."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import grokdyn as gd
from grokdyn.theory import deep_linear

TIMES = np.array([0.0, 0.3, 1.0, 2.0, 5.0])


@pytest.mark.parametrize("layers", [1, 2, 3, 5])
def test_a_mode_of_aligned_layers_is_that_of_their_product(layers):
    """Gradient flow of L scalars from one value: a = w^L with dw/dt = w^(L-1) (s - w^L)."""
    s, first = 1.7, 0.2
    flow = solve_ivp(
        lambda _, w: w ** (layers - 1) * (s - w**layers),
        (0, 5),
        [first ** (1 / layers)],
        "LSODA",
        TIMES,
        rtol=1e-11,
        atol=1e-13,
    )
    np.testing.assert_allclose(deep_linear.strength(TIMES, s, first, layers), flow.y[0] ** layers, rtol=1e-7)


def test_the_time_to_a_share_is_when_it_is_there():
    t = deep_linear.time_to(0.6, 2.5, 1e-4)
    np.testing.assert_allclose(deep_linear.strength(np.array([t]), 2.5, 1e-4), 0.6 * 2.5, rtol=1e-12)
    assert deep_linear.strength(np.array([1e4]), 2.5, 1e-4)[0] == 2.5


def test_means_over_starts_are_those_of_draws():
    """Within 4 standard errors of 2 * 10^5 chi-squares."""
    std, width, values = 0.1, 9, np.array([2.0, 0.5])
    told = deep_linear.mean_modes(TIMES, values, std, width)
    rng = np.random.default_rng(0)
    for k, s in enumerate(values):
        first = std**2 / 2 * rng.chisquare(width - k, 200_000)
        a = np.stack([first * s / (first + (s - first) * np.exp(-2 * s * t)) for t in TIMES])
        for found, draws in zip(told, (a, (s - a) ** 2), strict=True):
            error = draws.std(1) / 200_000**0.5
            assert np.all(np.abs(found[:, k] - draws.mean(1)) < 4 * error + 1e-12)


def test_small_steps_are_the_flow():
    first = np.array([1e-3, 0.1])
    found = deep_linear.descent(np.array([2000, 0, 700]), 1e-3, 1.5, first)
    flow = np.stack([deep_linear.strength(np.array([2.0, 0.0, 0.7]), 1.5, one) for one in first], axis=1)
    np.testing.assert_allclose(found, flow, rtol=5e-3)
    coarse = deep_linear.descent(np.array([1000, 0, 350]), 2e-3, 1.5, first)
    np.testing.assert_allclose((coarse - flow)[::2] / (found - flow)[::2], 2, rtol=0.02)
    with pytest.raises(ValueError, match="steps: got -1"):
        deep_linear.descent(np.array([-1]), 0.1, 1.0, first)


def network(std, **changes):
    base = gd.Experiment(
        task=gd.Modes(items=6, modes=2, largest=3.0, ratio=0.4, train_fraction=1.0),
        model=gd.MLP(hidden=(20,), activation="identity", init="normal", init_scale=std),
        loss=gd.MSE(reduction="sum"),
        optimizer=gd.SGD(learning_rate=0.005),
        steps=800,
        record=gd.At((0, 100, 150, 200, 300, 400, 500, 800)),
        probes=("loss", gd.TargetModes(top=2)),
        dtype="float64",
    )
    return base.replace(**changes)


def test_networks_from_small_weights_follow_the_line_and_the_nearer_the_smaller():
    """Mean loss over 64 seeds within 3 standard errors at sigma = .0003, nearer than at .1, which is not."""
    off = []
    for std in (0.1, 0.0003):
        base = network(std)
        runs, told = gd.run(gd.Sweep(base, {"seed": range(64)})), gd.theory.of(base, base.record.at(base.steps))
        error = runs.train_loss.std("seed", ddof=1) / 8 + 1e-6 * told.train_loss[0]
        off.append(float((abs(runs.train_loss.mean("seed") - told.train_loss) / error).max()))
        np.testing.assert_allclose(runs.mode_target, np.broadcast_to([3.0, 1.2], runs.mode_target.shape), rtol=1e-6)
    assert off[1] < 3 < off[0]
    strengths = runs.mode_strength.isel(step=-1).values
    np.testing.assert_allclose(strengths[:, 0], 3, rtol=1e-3)


def test_what_is_not_white_is_told():
    task = gd.TeacherStudent(dimension=3, points=12, teacher=gd.MLP(hidden=(4,)), teacher_outputs=2)
    with pytest.raises(gd.SpecError, match=r"task: got .*inputs of variances.*white inputs"):
        gd.theory.of(network(0.1, task=task), (0, 1))
    with pytest.raises(gd.SpecError, match=r"model\.hidden: got \(1,\); allowed: at least 2, the modes"):
        gd.theory.of(network(0.1, **{"model.hidden": (1,)}), (0, 1))
    with pytest.raises(ValueError, match="first, layers: got 0"):
        deep_linear.strength(TIMES, 1.0, 0.0)
    with pytest.raises(ValueError, match="values: got 2 for width 1"):
        deep_linear.mean_modes(TIMES, np.array([2.0, 1.0]), 0.1, 1)
    with pytest.raises(ValueError, match="share, first"):
        deep_linear.time_to(1.5, 1.0, 0.1)
