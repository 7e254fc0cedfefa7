"""Lines of what learns from fresh examples: whose overlaps they begin with, and how a spec's numbers enter."""

import numpy as np
import pytest

import grokdyn as gd
from grokdyn.spec.errors import SpecError
from grokdyn.theory.online import linear_error
from grokdyn.theory.soft_committee import dynamics

STEPS = (400, 0, 100)


def committee(along=0.25, spread=0.0, rate=0.005, **changes):
    """Return two units that learn two others of 100 dimensions; eta = 2 * 100 * rate."""
    found = gd.Experiment(
        task=gd.TeacherStudent(
            dimension=100, points=50, teacher=gd.SoftCommittee(along=1.0, spread=0.0), fresh=True, train_points=None
        ),
        model=gd.SoftCommittee(along=along, spread=spread),
        loss=gd.MSE(),
        optimizer=gd.SGD(learning_rate=rate),
        steps=400,
        batch_size=1,
        probes=("order_parameters",),
    )
    return found.replace(**changes)


def test_a_committee_without_randomness_is_the_equation():
    told = dynamics(np.sort(STEPS) / 100, 0.0625 * np.eye(2), 0.25 * np.eye(2), np.eye(2), 1.0).error[[2, 0, 1]]
    found = gd.theory.of(committee(), STEPS)
    np.testing.assert_allclose(found.generalisation_error, told, rtol=1e-12)
    np.testing.assert_allclose(found.test_loss, 2 * told, rtol=1e-12)
    # Inputs twice as long are units twice as long that move four times as far.
    twice = gd.theory.of(
        committee(along=0.125, rate=0.00125, **{"task.input_std": 2.0, "task.teacher.along": 0.5}), STEPS
    )
    np.testing.assert_allclose(twice.generalisation_error, told, rtol=1e-12)


def test_it_begins_where_the_runs_of_its_seeds_begin():
    sweep = gd.Sweep(committee(spread=0.7, steps=1, record=gd.At((0,))), {"seed": (0, 3)})
    runs, told = gd.run(sweep, progress=False), gd.theory.of(sweep, [0])
    np.testing.assert_allclose(told.generalisation_error, runs.generalisation_error.mean("seed"), rtol=1e-6)
    one = gd.theory.of(sweep.base.replace(seed=3), [0])
    np.testing.assert_allclose(one.generalisation_error, runs.generalisation_error.sel(seed=3), rtol=1e-6)


def test_regression_is_its_recursion_in_other_words():
    told = linear_error(np.array(STEPS), 60 * (1 + 0.09), 0.5, 60, 1 / 60, 4, 0.3)
    base = gd.Experiment(
        task=gd.LinearTeacher(dimension=60, points=50, noise_std=0.3, fresh=True),
        model=gd.MLP(hidden=(), init="normal", init_scale=0.3),
        loss=gd.MSE(),
        optimizer=gd.SGD(learning_rate=0.25),
        steps=400,
        batch_size=4,
    )
    np.testing.assert_allclose(gd.theory.of(base, STEPS).test_loss, told, rtol=1e-12)
    scaled = base.replace(**{"model.output_scale": 2.0, "model.init_scale": 0.15, "optimizer.learning_rate": 0.0625})
    np.testing.assert_allclose(gd.theory.of(scaled, STEPS).train_loss, told, rtol=1e-12)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"task.fresh": False, "task.train_points": 20}, "task.fresh"),
        ({"batch_size": 2}, "batch_size"),
        ({"task.noise_std": 0.5}, "task.noise_std: got 0.5"),
        ({"optimizer.momentum": 0.9}, "optimizer.momentum"),
    ],
)
def test_the_assumption_that_fails_is_named(changes, words):
    with pytest.raises(SpecError, match=words):
        gd.theory.of(committee(**changes), STEPS)
