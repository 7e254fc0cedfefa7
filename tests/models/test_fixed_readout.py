"""The fixed readout against numpy, and its training on clusters against the exact dual dynamics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.theory import xor_clusters as dual
from tests.train.lanes import taken_apart

STEPS = 12


class Points(gd.Probe):
    """The points of the run itself: drawn elsewhere, they may differ in the last bit of float32."""

    def variables(self, shapes):
        rows, columns = shapes.signature.rows, shapes.signature.inputs.width
        axes = {"row": range(rows), "column": range(columns)}
        return {"points": gd.Variable("points", dims=tuple(axes), coordinates=axes)}

    def measure(self, view):
        return {"points": jnp.asarray(view.inputs)}


def experiment(**changes):
    return gd.Experiment(
        task=gd.XorClusters(dimension=300, points=40, train_points=24, mean_norm=8.0, label_noise=0.125, noise="wrong"),
        model=gd.FixedReadout(width=16),
        loss=gd.CrossEntropy(precision="float64"),
        optimizer=gd.SGD(learning_rate=0.02),
        steps=STEPS,
        record=gd.At((0, 1, 5, STEPS)),
        probes=(gd.Loss(), gd.Accuracy(), gd.ClusterFeatures(per_neuron=True), Points()),
        snapshots=(0, 1, STEPS),
        dtype="float64",
    ).replace(**changes)


def told_by_the_dual(exp, x, W):
    """Return the run's split, its votes and records of the dual dynamics that begins at its points and weights."""
    with jax.enable_x64(True):
        run = taken_apart(exp)
        split, votes = jax.device_get(run.lane.split), np.asarray(exp.model.votes(2 * exp.model.width))
    train = split.order[: int(split.n_train)]
    y = 2 * split.labels[train] - 1
    X, R = x[train], np.concatenate([x, exp.task.mean_norm * np.eye(2, x.shape[1])])
    network = dual.Network(W.T @ X.T, W.T @ R.T, votes)
    records = dual.descend(network, X @ X.T, X @ R.T, y, exp.optimizer.learning_rate, exp.record.steps)
    return split, votes, list(records)


def assert_training_is_the_dual(exp, out):
    """Logits, neurons, losses, accuracies and what the probe measures, within 1e-9 of the largest."""
    ds = gd.run(exp, out=out, progress=False)
    x, W = ds.points.values[0].astype(float), gd.params(out, step=0)["W"]
    split, b, records = told_by_the_dual(exp, x, W)
    n, test = x.shape[0], np.ones(x.shape[0], bool)
    train = split.order[: int(split.n_train)]
    test[train] = False
    for record in records:
        H, means = record.tracked[:, :n], record.tracked[:, n:]
        f = b @ np.maximum(H, 0)
        if record.step in exp.snapshots:
            W = gd.params(out, step=record.step)["W"]
            np.testing.assert_allclose(W.T @ x.T, H, rtol=0, atol=1e-9 * np.abs(H).max())
            np.testing.assert_allclose(b @ np.maximum(W.T @ x.T, 0), f, rtol=0, atol=1e-9 * np.abs(f).max())
        at = ds.sel(step=record.step)
        losses, right = np.logaddexp(0, -(2 * split.labels - 1) * f), (f > 0) == (split.labels == 1)
        for part, rows in (("train", train), ("test", test)):
            np.testing.assert_allclose(at[f"{part}_loss"], losses[rows].mean(), rtol=1e-9)
            assert abs(at[f"{part}_accuracy"] - right[rows].mean()) < 1e-6
        assert abs(at.corrupted_rows_accuracy - right[split.corrupted].mean()) < 1e-6
        np.testing.assert_allclose(at.neuron_mean_product, means, rtol=0, atol=1e-9 * np.abs(means).max())
    np.testing.assert_array_equal(ds.neuron_vote, np.broadcast_to(np.sign(b), ds.neuron_vote.shape))


@pytest.mark.parametrize(("rate", "std", "reduced"), [(0.02, 0.01, False), (1e-12, 1e-15, True)])
@pytest.mark.slow  # by default the line of theory.of stands for it
def test_training_on_clusters_is_the_dual(rate, std, reduced, tmp_path):
    changes = {"task.reduced": reduced, "optimizer.learning_rate": rate, "model.init_scale": std}
    assert_training_is_the_dual(experiment(**changes), tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "std"), [(0.02, 0.01), (1e-12, 1e-15)])
def test_training_in_4000_dimensions_is_the_dual(rate, std, tmp_path):
    task = gd.XorClusters(4000, 400, 2.5 * 20**0.5, train_points=200, label_noise=0.05, noise="wrong")
    changes = {"model.width": 500, "optimizer.learning_rate": rate, "model.init_scale": std}
    assert_training_is_the_dual(experiment(task=task, **changes), tmp_path / "run")


@pytest.mark.usefixtures("x64")
def test_outputs_have_units_and_signs_of_their_own():
    model = gd.FixedReadout(width=5, output_scale=3.0, readout_seed=4)
    rng = np.random.default_rng(0)
    W, x = rng.normal(size=(6, 15)), rng.normal(size=(7, 6))
    a = np.asarray(model.readout(15, jnp.float64))
    assert set(np.round(np.abs(a) * np.sqrt(15), 12).ravel()) == {1.0}
    assert set(np.sign(a).ravel()) == {-1.0, 1.0}
    assert not np.array_equal(a, model.replace(readout_seed=5).readout(15, jnp.float64))
    found = model.forward({"W": jnp.asarray(W)}, jnp.asarray(x)).logits
    expected = 3 * np.sum(np.maximum(x @ W, 0).reshape(7, 3, 5) * a, axis=-1)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.usefixtures("x64")
def test_coins_of_the_readout_are_fair():
    signs = np.sign(gd.FixedReadout(width=5000).votes(10_000))
    assert abs(signs.mean()) < 5 / np.sqrt(10_000)


def test_amplification_and_cosines_are_those_of_numpy(tmp_path):
    exp = experiment()
    ds = gd.run(exp, out=tmp_path / "run", progress=False)
    W0, W = (gd.params(tmp_path / "run", step=t)["W"] for t in (0, STEPS))
    own = np.where(ds.neuron_vote.values[-1] > 0, 0, 1)
    units = np.arange(32)

    def size(side):
        return [np.sqrt(np.mean(V[side, units] ** 2)) for V in (W0, W)]

    last = ds.isel(step=-1)
    for name, side in (("own", own), ("other", 1 - own)):
        began, ended = size(side)
        np.testing.assert_allclose(last.cluster_amplification.sel(side=name), ended / began, rtol=1e-6)
    cosine = W[:2] / np.linalg.norm(W, axis=0)
    np.testing.assert_allclose(last.neuron_mean_cosine, cosine.T, rtol=1e-6)
    np.testing.assert_allclose(last.mean_own_cosine, np.abs(cosine[own, units]).mean(), rtol=1e-6)
    share = np.mean(np.abs(W[own, units]) > np.abs(W[1 - own, units]))
    np.testing.assert_allclose(last.own_feature_share, share, rtol=1e-6)


def test_the_probe_says_what_it_fits():
    with pytest.raises(gd.SpecError, match=r"probes\[0\].kind: got cluster_features; .*fixed_readout on xor_clusters"):
        gd.run(experiment(model=gd.MLP(hidden=(4,)), probes=(gd.ClusterFeatures(),)), progress=False)
