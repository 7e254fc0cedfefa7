"""Predictions of single rows against the accuracies of the same runs, and their agreement."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.analysis.checks import ArgumentError
from tests import cases

P = 5
TASK = gd.ModularArithmetic(p=P, train_fraction=0.6)


def test_predictions_are_those_that_accuracies_count_on_rows_that_runs_of_a_split_share():
    probes = ("accuracy", gd.Predictions(rows=P * P))
    base = cases.tiny(task=TASK, steps=4, record=gd.At((0, 4)), probes=probes, seeds=gd.Seeds(split=0))
    ds = gd.run(gd.Sweep(base, {"seed": [0, 1, 2]}), progress=False)
    right = ds.prediction == ds.row_label
    for part, rows in (("train", ds.row_trained == 1), ("test", ds.row_trained == 0)):
        np.testing.assert_allclose(right.where(rows).mean("row"), ds[f"{part}_accuracy"], rtol=1e-6)
    a, b = np.divmod(np.arange(P * P), P)
    np.testing.assert_array_equal(ds.row_label.isel(seed=1, step=0), (a + b) % P)
    assert float(ds.row_trained.isel(step=0).std("seed").max()) == 0
    assert int(ds.row_trained.isel(seed=0, step=0).sum()) == 15
    last = ds.isel(step=-1)
    found = gd.analysis.agreement(last.prediction, last.row_label.isel(seed=0))
    np.testing.assert_allclose(found.errors, 1 - right.isel(step=-1).mean("row"))


@pytest.mark.parametrize("noise_of_label", [0, 1])
def test_a_prediction_is_nan_where_a_logit_is_and_the_label_is_without_noise(noise_of_label):
    clean = np.arange(P * P) % P
    view = SimpleNamespace(
        experiment=SimpleNamespace(task=TASK),
        predictions=jnp.asarray(np.where(np.arange(P * P) % 2, P, clean), jnp.int32),
        logits=jnp.zeros((P * P, P)),
        labels=jnp.asarray((clean + noise_of_label) % P),
        clean_labels=clean,
        train=jnp.arange(P * P) < 3,
    )
    found = gd.Predictions(rows=P * P).measure(view)
    np.testing.assert_array_equal(found["prediction"], np.where(np.arange(P * P) % 2, np.nan, clean))
    np.testing.assert_array_equal(found["row_label"], clean)
    with pytest.raises(ArgumentError, match="predictions: got float"):
        gd.analysis.agreement(np.stack([found["prediction"]] * 2), clean)


def test_real_targets_have_no_predicted_class():
    task = gd.LinearTeacher(dimension=3, points=12)
    with pytest.raises(gd.SpecError, match="real targets"):
        gd.run(cases.tiny(task=task, loss=gd.MSE(), probes=(gd.Predictions(rows=4),)), progress=False)
