"""One call finds a theory, says which assumption fails where none holds, and labels its lines as results are."""

import itertools

import numpy as np
import pytest

import grokdyn as gd
from grokdyn.theory.linear import learning_curves
from grokdyn.theory.lines.of import LINES
from tests import cases

STEPS = (0, 3, 10, 40)
TASK = gd.MultiIndex(dimension=3, points=20)


def student(init="normal", reduction="sum", rate=0.01, **options):
    """Return a linear student of 60 weights, 90 train points."""
    return gd.Experiment(
        task=gd.LinearTeacher(dimension=60, points=200, train_points=90, noise_std=0.4),
        model=gd.MLP(hidden=(), init=init, **options),
        loss=gd.MSE(reduction=reduction),
        optimizer=gd.SGD(learning_rate=rate),
        steps=40,
        record=gd.At(STEPS),
        probes=("loss",),
    )


TOLD = learning_curves(0.02 * np.array(STEPS), 1.5, 1.0, 0.4, 0.3, rate=0.02)
# One process in other words: the weights that meet an input start at .3 and move at .02 in the time of the flow.
SAME = {
    "as it is": student(init_scale=0.3),
    "a mean over rows": student(reduction="mean", rate=0.9, init_scale=0.3),
    "a factor in the forward pass": student("ntk", rate=0.6, init_scale=0.3 * 60**0.5),
    "scaled logits": student(output_scale=2.0, rate=0.0025, init_scale=0.15),
    "scaled logits, gradient rescaled": student(output_scale=2.0, rescaled=True, init_scale=0.15),
    "another law of the weights": student("torch", init_scale=0.3 * 180**0.5),
    "flax's law": student("lecun", init_scale=0.3 * 60**0.5),
}


@pytest.mark.parametrize("name", SAME)
def test_a_process_has_its_line_in_whatever_words(name):
    found = gd.theory.of(SAME[name], STEPS)
    np.testing.assert_allclose(found.train_loss, TOLD.train, rtol=1e-12)
    np.testing.assert_allclose(found.test_loss, TOLD.test, rtol=1e-12)


@pytest.mark.as_users
def test_runs_follow_the_line_of_their_words():
    """Mean over 64 seeds within 3 standard errors at all records, with every number that the line converts."""
    base = student("ntk", "mean", rate=15.0, output_scale=2.0, init_scale=1.2, centred=False)
    sweep = gd.Sweep(base, {"task.train_points": (60, 180), "seed": range(64)})
    runs, told = gd.run(sweep), gd.theory.of(sweep, STEPS)
    for name in ("train_loss", "test_loss"):
        error = runs[name].std("seed", ddof=1) / 8
        assert float((abs(runs[name].mean("seed") - told[name]) / error).max()) < 3, name


@pytest.mark.as_users
def test_runs_with_momentum_and_decay_follow_their_line():
    """Mean over 64 seeds within 3 standard errors at all records, also at fewer points than weights."""
    base = student("ntk", rate=0.2, output_scale=2.0, init_scale=1.2)
    base = base.replace(optimizer=gd.SGD(learning_rate=0.2, momentum=0.6, weight_decay=0.15))
    sweep = gd.Sweep(base, {"task.train_points": (30, 90), "seed": range(64)})
    runs, told = gd.run(sweep), gd.theory.of(sweep, STEPS)
    for name in ("train_loss", "test_loss"):
        error = runs[name].std("seed", ddof=1) / 8
        assert float((abs(runs[name].mean("seed") - told[name]) / error).max()) < 3, name


def test_lines_are_labelled_as_results_are_and_are_drawn():
    base = student(init_scale=0.3)
    zipped = {"zip": {"optimizer.learning_rate": [0.01, 0.02], "model.init_scale": [0.3, 0.1]}}
    sweep = gd.Sweep(base, {"pace": zipped, "task.train_points": (30, 90), "seed": range(2), "seeds.init": (3, 4)})
    told = gd.theory.of(sweep, STEPS)
    assert dict(told.sizes) == {"pace": 2, "train_points": 2, "step": 4}
    assert told.init_scale.dims == ("pace",)
    assert told.attrs == {"theory": "linear regression", "source": "Advani & Saxe 2017"}
    np.testing.assert_allclose(told.test_loss.sel(pace=0, train_points=90), TOLD.test)
    ds = gd.run(gd.Sweep(base, {"task.train_points": (30, 90), "seed": range(2)}))
    figure = gd.plot.curves(ds, "test_loss", theory=gd.theory.of(gd.Sweep.from_toml(ds.attrs["spec"]), ds.step))
    dark = [line for ax in figure.axes for line in ax.lines if line.get_linewidth() == 0.9]
    np.testing.assert_allclose(dark[1].get_ydata(), TOLD.test)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"optimizer": gd.SGD(momentum=0.9, nesterov=True)}, r"optimizer\.nesterov: got True; .* linear regression"),
        ({"task": TASK, "model": gd.MLP(init="ntk"), "optimizer": gd.SGD(weight_decay=0.1)}, r"decay: got 0\.1; .*: 0"),
        ({"optimizer": gd.SGD(schedule=gd.Cosine(steps=9.0))}, r"optimizer\.schedule\.kind: got 'cosine'; .*constant"),
        ({"optimizer": gd.AdamW()}, r"optimizer\.kind: got 'adamw'; allowed: sgd"),
        ({"batch_size": 5}, r"^batch_size: got 5; allowed: None"),
        ({"transforms": (gd.InputNoise(),)}, r"^transforms: got 'input_noise'; allowed: none"),
        (
            {"task": TASK, "model": gd.MLP(activation="tanh", init="ntk")},
            r"model\.activation: got 'tanh'; allowed: relu",
        ),
        ({"task": TASK, "model": gd.MLP()}, r"model\.init: got 'torch'; allowed: 'ntk'"),
        ({"loss": gd.CrossEntropy()}, r"loss\.kind: got 'cross_entropy'; allowed: mse"),
    ],
)
def test_the_assumption_that_fails_is_told_in_a_line(change, words):
    base = student()
    fields = {name: getattr(base, name) for name in ("task", "model", "loss", "optimizer", "steps", "record")}
    with pytest.raises(gd.SpecError, match=words) as caught:
        gd.theory.of(gd.Experiment(**fields | change), STEPS)
    assert "\n" not in str(caught.value)


def test_every_line_says_of_every_task_and_model_whether_it_holds():
    for task, model in itertools.product(cases.TASKS, cases.MODELS):
        for loss in (gd.MSE(), gd.CrossEntropy()):
            one = gd.Experiment(task=task, model=model, loss=loss, optimizer=gd.SGD(weight_decay=0.1), steps=3)
            for line in LINES:
                assert all(path and allowed for path, _, allowed in line.failures(one))


@pytest.mark.parametrize("steps", [[-1], [0.5], [], [[0, 1]]])
def test_steps_that_are_none_are_refused(steps):
    with pytest.raises(gd.SpecError, match="steps: got"):
        gd.theory.of(student(), steps)
