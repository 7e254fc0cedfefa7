"""Points of a long-tailed mixture against its definition, and errors by times seen against counts in numpy."""

import jax
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.theory import long_tail

pytestmark = pytest.mark.usefixtures("x64")


def test_points_have_the_frequencies_labels_and_centres_of_their_subpopulations():
    task = gd.LongTail(subpopulations=7, exponent=1.5, classes=3, points=6000, dimension=5, spread=0.25)
    x, y, of = map(np.asarray, jax.jit(lambda key: (*task.draw(key), task.members(key)))(jax.random.key(2)))
    p = long_tail.zipf(7, 1.5)
    counts = np.bincount(of, minlength=7)
    assert np.all(np.abs(counts - 6000 * p) < 5 * np.sqrt(6000 * p))
    assert all(len(set(y[of == j])) == 1 for j in range(7))
    centres = np.stack([x[of == j].mean(axis=0) for j in range(7)])
    assert abs(centres.std() - 1) < 5 / np.sqrt(2 * centres.size)
    around = x - centres[of]
    assert abs(around.std() / 0.25 - 1) < 0.05


def test_every_run_draws_labels_uniformly_and_points_without_spread_are_their_centres():
    task = gd.LongTail(subpopulations=5, classes=4, points=40, centres="one_hot", spread=0.0)
    keys = jax.random.split(jax.random.key(0), 400)
    x, y, of = jax.jit(jax.vmap(lambda key: (*task.draw(key), task.members(key))))(keys)
    np.testing.assert_array_equal(np.asarray(x), np.eye(5)[np.asarray(of)])
    first = np.asarray([labels[members == 0][0] for labels, members in zip(np.asarray(y), np.asarray(of), strict=True)])
    assert np.all(np.abs(np.bincount(first, minlength=4) - 100) < 5 * np.sqrt(75))


class Seen(gd.Probe):
    """What the errors are counted from."""

    def variables(self, shapes):
        rows = {"row": range(shapes.signature.rows)}
        return {name: gd.Variable(name, dims=("row",), coordinates=rows) for name in ("wrong", "member", "is_train")}

    def measure(self, view):
        member = view.experiment.task.members(view.table_key)
        return {"wrong": view.predictions != view.labels, "member": member, "is_train": view.train}


def experiment(**changes):
    return gd.Experiment(
        task=gd.LongTail(subpopulations=12, classes=3, points=60, train_points=20, dimension=4, label_noise=0.2),
        model=gd.MLP(hidden=(8,)),
        loss=gd.CrossEntropy(),
        optimizer=gd.AdamW(learning_rate=0.02),
        steps=40,
        record=gd.Every(20),
        probes=("accuracy", gd.TailError(most=20), Seen()),
    ).replace(**changes)


def test_errors_by_times_seen_are_those_counted_in_numpy():
    ds = gd.run(experiment(), progress=False)
    member, train = (ds[name].isel(step=0).values for name in ("member", "is_train"))
    train = train.astype(bool)
    seen = np.bincount(member[train].astype(int), minlength=12)
    assert train.sum() == 20
    np.testing.assert_array_equal(ds.seen_count[0], np.bincount(seen, minlength=21))
    times = seen[member.astype(int)]
    for step, wrong in enumerate(ds.wrong.values.astype(bool)):
        for kind, rows in (("train", train), ("test", ~train)):
            by = [wrong[rows & (times == n)].mean() if np.any(rows & (times == n)) else np.nan for n in range(21)]
            np.testing.assert_allclose(ds[f"seen_{kind}_error"][step], by)
    share = np.bincount(times[~train], minlength=21) / 40
    np.testing.assert_allclose(ds.seen_test_share, np.tile(share, (3, 1)))
    # Every test row is of some number of times.
    total = (ds.seen_test_share * ds.seen_test_error.fillna(0)).sum("times_seen")
    np.testing.assert_allclose(total, 1 - ds.test_accuracy, atol=1e-12)


def test_what_does_not_fit_is_told():
    with pytest.raises(gd.SpecError, match=r"probes\[0\].kind: got tail_error; .*the task long_tail"):
        gd.run(experiment(task=gd.ModularArithmetic(p=5), probes=(gd.TailError(),)), progress=False)
    with pytest.raises(gd.SpecError, match=r"train_points: got 90; allowed: at most points, 60"):
        gd.run(experiment(**{"task.train_points": 90}), progress=False)
