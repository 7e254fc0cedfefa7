"""Rows of the upper of two clusters of losses, against all cuts of every class tried in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.transforms.base import Batch

pytestmark = pytest.mark.usefixtures("x64")


def upper(values):
    """Return which values are in the upper cluster: all cuts tried, squares within both."""
    if len(set(values)) < 2:
        return np.zeros(len(values), bool)
    order = np.sort(values)
    within = [sum(((part - part.mean()) ** 2).sum() for part in (order[:k], order[k:])) for k in range(1, len(order))]
    return values > order[np.argmin(within)]


@jax.jit
def weighed(losses, targets, real, step):
    """Return the weights of rows that weigh a half each, of four classes."""
    n = len(losses)
    batch = Batch(jnp.zeros((n, 1)), targets, real * 0.5, real, jnp.arange(n), 4, losses=losses)
    return gd.SlowCluster(factor=3.0, since=5, until=9).apply(batch, jax.random.key(0), step).weights


@pytest.mark.parametrize("shares", [False, True])
def test_the_upper_cluster_of_every_class_weighs_more(shares):
    rng = np.random.default_rng(0)
    for trial in range(20):
        n = 40
        label, real = rng.integers(0, 3, n), np.arange(n) < 35
        # Two lumps, far from 0 in some trials, the same losses in one class, and a class with no row.
        losses = 1e6 * (trial % 2) + rng.normal(size=n) + 4 * (rng.uniform(size=n) < 0.3)
        losses = np.where(label == 2, 1.5, losses) if trial % 3 == 0 else losses
        expected = real * 0.5
        for k in range(3):
            mine = real & (label == k)
            expected[mine] *= np.where(upper(losses[mine]), 3.0, 1.0)
        targets = np.eye(4)[label] if shares else label.astype(np.int32)
        np.testing.assert_allclose(weighed(losses, targets, real, 5), expected)
        for step in (4, 9):
            np.testing.assert_array_equal(weighed(losses, targets, real, step), real * 0.5)


def test_real_targets_are_refused():
    exp = gd.Experiment(
        task=gd.Boolean(dimension=4),
        model=gd.MLP(hidden=(4,)),
        loss=gd.MSE(),
        optimizer=gd.SGD(learning_rate=0.1),
        transforms=(gd.SlowCluster(),),
        steps=1,
    )
    with pytest.raises(
        gd.SpecError, match=r"transforms\[0\].kind: got real targets; allowed: a transform that needs no"
    ):
        gd.run(exp, progress=False)
