"""A linear student of one task after another follows its line, in whatever words."""

import pytest

import grokdyn as gd

STEPS = (0, 3, 8, 11, 24, 30)
BASE = gd.Experiment(
    task=gd.LinearTasks(dimension=9, rows=4, order=(1, 2, 1), similarity=0.3, noise_std=0.2),
    model=gd.MLP(hidden=(), init="ntk", init_scale=0.5, output_scale=2.0),
    loss=gd.MSE(),
    optimizer=gd.SGD(learning_rate=0.2),
    transforms=(gd.PartSequence(parts=("first", "third", "second"), every=8),),
    steps=30,
    record=gd.At(STEPS),
    probes=("loss",),
)


def test_runs_follow_the_line():
    """Means over 256 seeds within 3.5 standard errors, of every task at every record: a part's sum is its mean."""
    base = BASE.replace(loss=gd.MSE(reduction="sum"))
    sweep = gd.Sweep(base, {"optimizer.learning_rate": (0.1, 0.2), "seed": range(256)})
    runs, told = gd.run(sweep, progress=False), gd.theory.of(sweep, STEPS)
    assert told.attrs["theory"] == "continual linear regression"
    for name in ("first_unseen_loss", "second_unseen_loss", "third_unseen_loss", "test_loss"):
        error = runs[name].std("seed", ddof=1) / 16
        assert float((abs(runs[name].mean("seed") - told[name]) / error).max()) < 3.5, name
    assert float(told.first_unseen_loss.max() - told.first_unseen_loss.min()) > 0.5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"transforms": (gd.InputNoise(),)}, "transforms: got 'input_noise'; allowed: part_sequence alone"),
        ({"transforms[0].replay": 0.5}, r"transforms\[0\].replay: got 0.5; allowed: 0.0"),
        ({"transforms[0].parts": ("first", "second")}, "allowed: all of first, second, third, each once"),
        ({"optimizer.momentum": 0.9}, "optimizer.momentum: got 0.9"),
        ({"model": gd.MLP(hidden=(8,), activation="identity")}, "model.hidden"),
    ],
)
def test_the_assumption_that_fails_is_named(changes, words):
    with pytest.raises(gd.SpecError, match=words):
        gd.theory.of(BASE.replace(**changes), STEPS)
