"""What training minimises, and what is recorded of it, where that is not the recorded loss."""

import jax
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.probes.objective import objective
from grokdyn.train.step import record
from tests.train.lanes import recorded, taken_apart

ALPHA, N = 0.5, 6
# A step of gradient descent on the sum of squares that follows all directions but the stiffest.
EXPERIMENT = gd.Experiment(
    task=gd.LinearTeacher(dimension=3, points=10, train_points=N, noise_std=0.5),
    model=gd.MLP(hidden=(), init="normal", output_scale=ALPHA),
    loss=gd.MSE(),
    optimizer=gd.SGD(learning_rate=0.3),
    steps=40,
    record=gd.At((0, 40)),
    dtype="float64",
    probes=(
        gd.Loss(),
        gd.GradientNorm(),
        gd.UpdateNorm(),
        gd.Sharpness(iterations=5),
        gd.EdgeOfStability(iterations=5),
        gd.HessianTrace(samples=3),
        gd.LearningCoefficient(draws=30, chains=2, burn_in=10, n_beta=5.0),
    ),
)
CASES = {
    "mean": (1.0, "", {}),
    "sum": (N, " (loss times train rows)", {"loss": gd.MSE(reduction="sum")}),
    "rescaled": (1 / ALPHA**2, " (loss over output_scale^2)", {"model.rescaled": True}),
    "both": (
        N / ALPHA**2,
        " (loss times train rows over output_scale^2)",
        {"loss": gd.MSE(reduction="sum"), "model.rescaled": True},
    ),
}


@pytest.fixture(scope="module")
def runs():
    """Return what is recorded of runs of the plain loss, and of the sum that is rescaled."""
    return {name: recorded(EXPERIMENT.replace(**CASES[name][2]))[1] for name in ("mean", "both")}


@pytest.mark.parametrize("name", CASES)
def test_what_is_trained_has_words_where_it_is_not_the_train_loss(name):
    assert objective(EXPERIMENT.replace(**CASES[name][2])) == CASES[name][1]


@pytest.mark.parametrize("name", ["mean", "both"])
def test_gradient_and_hessian_are_those_that_train_and_their_names_say_of_what(runs, name):
    factor, words, _ = CASES[name]
    found, plain = runs[name], runs["mean"]
    for variable in ("gradient_norm", "sharpness", "hessian_lowest", "hessian_trace", "preconditioned_sharpness"):
        np.testing.assert_allclose(found[variable], factor * plain[variable], rtol=1e-9)
        assert found[variable].attrs["long_name"].endswith(words)
        assert ("(" in found[variable].attrs["long_name"]) == bool(words)
    np.testing.assert_allclose(found.update_norm, 0.3 * found.gradient_norm, rtol=1e-12)
    np.testing.assert_allclose(found.stability_ratio, 0.3 * found.sharpness / 2, rtol=1e-12)
    assert "(" not in found.stability_ratio.attrs["long_name"]
    # The loss is the recorded one's mean whatever trains, and so is the learning coefficient.
    for variable in ("train_loss", "test_loss", "llc", "llc_error", "llc_rhat", "llc_virial", "llc_held"):
        np.testing.assert_allclose(found[variable], plain[variable], rtol=1e-7)


def test_training_leaves_where_the_ratio_is_above_1(runs):
    """The very training, at a rate 10 % above and below: the stiffest direction grows or shrinks by 1.2 a step."""
    rates = [0.3 * side / float(runs["both"].stability_ratio) for side in (0.9, 1.1)]
    base = EXPERIMENT.replace(**CASES["both"][2], steps=200, record=gd.At((0, 200)), probes=(gd.Loss(),))
    loss = gd.run(gd.Sweep(base, {"optimizer.learning_rate": rates})).train_loss
    assert (loss.isel(step=1) > 1e3 * loss.isel(step=0)).values.tolist() == [False, True]


def test_a_loss_that_is_switched_is_what_is_in_force():
    switched = gd.SwitchLoss(first=gd.MSE(), then=gd.MSE(reduction="sum"), at=3)
    assert objective(EXPERIMENT.replace(loss=switched)) == " (loss as trained)"
    assert objective(EXPERIMENT.replace(loss=switched.replace(first=gd.MSE(reduction="sum")))) == CASES["sum"][1]
    assert objective(EXPERIMENT.replace(loss=switched.replace(then=gd.MSE()))) == ""


@pytest.mark.usefixtures("x64")
@pytest.mark.slow
@pytest.mark.parametrize("rescaled", [False, True])
def test_a_label_without_a_gradient_is_one_that_training_gives_none(rescaled):
    """What returns to float16 from the mean over rows is 1/6; over output_scale^2 it is 0 there."""
    experiment = EXPERIMENT.replace(
        task=gd.ModularArithmetic(p=3, train_fraction=0.7),
        model=gd.MLP(hidden=(), output_scale=1e4, rescaled=rescaled),
        loss=gd.CrossEntropy(precision="float16"),
        probes=(gd.ZeroTerms(), gd.GradientNorm()),
    )
    run = taken_apart(experiment)
    params = {name: w * 1e-4 for name, w in run.state.params.items()}
    found = jax.jit(lambda s: record(run.program, run.lane, run.rows, s, run.table))(run.state.replace(params=params))
    assert found["zero_loss"] == 0
    assert found["zero_label_gradient"] == rescaled
    assert (found["gradient_norm"] == 0) == rescaled
