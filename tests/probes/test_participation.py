"""Single neurons: their ratios and the network without some, against plain numpy."""

import jax
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.tasks.split import draw_split
from tests import cases

P, N = 7, 6


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("neurons") / "store"
    experiment = cases.tiny(
        task=gd.ModularArithmetic(p=P, train_fraction=0.6, label_noise=0.3),
        model=gd.MLP(hidden=(N,), activation="square", norm="batch", norm_at="after"),
        probes=("accuracy", gd.NeuronIPR(bins=4), gd.Pruning(steps=3), "ipr"),
        record=gd.At((10,)),
        snapshots=(10,),
        dtype="float64",
    )
    return gd.run(experiment, out=path, progress=False), gd.params(path)


def ratio(X):
    """Return the participation ratio of every column [p, units]."""
    power = np.abs(np.fft.rfft(X, axis=0)) ** 2
    return np.sum(power**2, 0) / np.sum(power, 0) ** 2


def test_neurons_are_counted_by_their_ratio(stored):
    ds, params = stored
    W, U = params["W_0"], params["W_1"]
    each = (ratio(W[:P]) + ratio(W[P:]) + ratio(U.T)) / 3
    assert float(ds.ipr[0]) == pytest.approx(each.mean(), rel=1e-10)
    counts, _ = np.histogram(each, 4, (0, 1))
    np.testing.assert_array_equal(ds.neuron_ipr_count[0], counts)
    scales = np.abs(params["scale_0"])
    for place, count in enumerate(counts):
        own = (each >= place / 4) & (each < (place + 1) / 4)
        np.testing.assert_allclose(ds.norm_scale[0, place], scales[own].mean() if count else np.nan, rtol=1e-12)


def test_the_network_is_measured_without_its_neurons_one_after_the_other(stored):
    ds, params = stored
    each = (ratio(params["W_0"][:P]) + ratio(params["W_0"][P:]) + ratio(params["W_1"].T)) / 3
    table = gd.ModularArithmetic(p=P).table()
    hidden = (params["W_0"][table.inputs[:, 0]] + params["W_0"][P + table.inputs[:, 1]]) ** 2
    normed = (hidden - params["mean_0"]) / np.sqrt(params["variance_0"] + 1e-5) * params["scale_0"] + params["shift_0"]
    for order, ranked in (("lowest first", np.argsort(each)), ("highest first", np.argsort(-each))):
        for place, removed in enumerate((0, 2, 4, 6)):
            kept = np.ones(N, bool)
            kept[ranked[:removed]] = False
            right = np.argmax(normed[:, kept] @ params["W_1"][kept], 1) == table.labels
            found = ds.pruned_test_accuracy.sel(pruning_order=order)[0, place]
            train = rows_that_train()
            assert float(found) == pytest.approx(right[~train].mean(), abs=1e-7)
    whole = ds.isel(pruned_share=0)
    for name in ("train", "clean_rows", "corrupted_rows", "test"):
        np.testing.assert_allclose(whole[f"pruned_{name}_accuracy"][0], float(ds[f"{name}_accuracy"][0]))


def rows_that_train():
    """Return which rows train, by the split of seed 0."""
    task = gd.ModularArithmetic(p=P, train_fraction=np.float64(0.6), label_noise=np.float64(0.3))
    with jax.enable_x64(True):
        key = jax.random.split(jax.random.fold_in(jax.random.key(0), 1))[0]
        split = draw_split(task, jax.numpy.asarray(task.table().labels), key)
    train = np.zeros(P * P, bool)
    train[np.asarray(split.order)[: int(split.n_train)]] = True
    return train


def test_probes_of_neurons_are_of_one_hidden_layer():
    with pytest.raises(gd.SpecError, match="one hidden layer"):
        gd.run(cases.tiny(model=gd.MLP(hidden=(8, 8)), probes=("pruning",)))
