"""Accuracy in context against loops over sequences, and what a network that has learned must show."""

import jax
import numpy as np
import pytest

import grokdyn as gd
from tests.train.lanes import outlined, recorded

pytestmark = pytest.mark.usefixtures("x64")
LENGTH, CLASSES, WIDTH, ROWS = 5, 3, 4, 12
EXPERIMENT = gd.Experiment(
    task=gd.InContextClassification(classes=CLASSES, width=WIDTH, length=LENGTH, tasks=4, rows=ROWS),
    model=gd.Transformer(d_model=4, heads=1, d_mlp=4, answers=LENGTH),
    loss=gd.CrossEntropy(),
    optimizer=gd.Adam(),
    steps=1,
    batch_size=6,
    record=gd.At((0,)),
    probes=(gd.InContextAccuracy(), "token_accuracy"),
    dtype="float64",
)


def nearest_by_hand(x, labels, i):
    """Return the answer of the nearest of the first i vectors, of equal ones the first."""
    apart = [np.sum((x[i] - x[j]) ** 2) for j in range(i)]
    return labels[apart.index(min(apart))]


def test_shares_and_the_nearest_example_are_those_of_loops():
    rng, shapes = np.random.default_rng(0), outlined(EXPERIMENT).state.params
    params = {name: rng.normal(size=w.shape) for name, w in shapes.items()}
    run, ds = recorded(EXPERIMENT, gd.Start(params=params))
    inputs, labels = run.table
    logits = np.asarray(jax.jit(EXPERIMENT.model.apply)(params, inputs).logits)
    for part, rows in (("test", range(ROWS)), ("unseen", range(ROWS, 2 * ROWS))):
        for i in range(LENGTH):
            right = [int(np.argmax(logits[r, i])) == labels[r, i] for r in rows]
            assert ds[f"{part}_shown_accuracy"][i] == pytest.approx(np.mean(right), abs=1e-15)
            near = [nearest_by_hand(inputs[r, :, :WIDTH], labels[r], i) == labels[r, i] for r in rows] if i else 1 / 3
            assert ds[f"{part}_nearest_accuracy"][i] == pytest.approx(np.mean(near), abs=1e-15)
        shown = ds[f"{part}_shown_accuracy"].values
        assert ds[f"{part}_improvement"] == pytest.approx(shown[-1] - shown[0], abs=1e-15)
    for part in ("train", "test", "unseen"):
        np.testing.assert_allclose(ds[f"{part}_shown_accuracy"], ds[f"{part}_answer_accuracy"], rtol=1e-14)


def test_another_task_is_refused():
    with pytest.raises(gd.SpecError, match=r"probes\[0\]\.kind: got 'in_context_accuracy'; allowed: another probe"):
        gd.run(EXPERIMENT.replace(task=gd.ModularArithmetic(p=5), model=gd.MLP(), batch_size=None))


@pytest.mark.slow
def test_few_tasks_are_known_by_heart_and_many_are_learned_in_context():
    """The two ends of the transition, in one program; bounds far from the values, .00 and .55."""
    task = gd.InContextClassification(classes=4, width=8, length=8, noise_std=0.3, rows=500)
    base = EXPERIMENT.replace(
        task=task,
        model=gd.Transformer(layers=2, d_model=32, heads=2, d_mlp=64, norm="pre", answers=8),
        optimizer=gd.Adam(learning_rate=0.003),
        steps=1500,
        batch_size=64,
        record=gd.At((1500,)),
        dtype="float32",
    )
    ds = gd.run(gd.Sweep(base, {"task.tasks": [1, 4096]}), progress=False).isel(step=-1)
    known, learned = ds.isel(tasks=0), ds.isel(tasks=1)
    assert known.test_shown_accuracy[0] > 0.9
    assert abs(known.unseen_improvement) < 5 * np.sqrt(2 * 0.25 * 0.75 / 500)
    assert known.unseen_shown_accuracy[-1] < 0.25 + 5 * np.sqrt(0.25 * 0.75 / 500)
    assert learned.unseen_improvement > 0.3
    assert abs(learned.test_improvement - learned.unseen_improvement) < 5 * np.sqrt(4 * 0.25 / 500)
