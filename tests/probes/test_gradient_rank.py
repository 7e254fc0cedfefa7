"""The share of the largest singular value against gradients written out in numpy, and its svd."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.tasks.streams import split_keys
from tests import cases
from tests.parity.test_transformer import loss_and_gradients
from tests.train.lanes import recorded

D, FF, HEADS = 6, 8, 2
PARTS = {"told": slice(0, 28), "asked": slice(28, 34), "test": slice(34, 42), "train": slice(0, 34)}


def experiment(**changes):
    return cases.tiny(
        task=gd.KeyValueFacts(subjects=7, relations=2, answers=3, forms=3, multiplicity=2, asked=3),
        model=gd.Transformer(d_model=D, heads=HEADS, d_mlp=FF),
        loss=gd.CrossEntropy(precision="float64"),
        probes=("loss", gd.GradientRank(parts=tuple(PARTS))),
        steps=1,
        record=gd.At((0,)),
        dtype="float64",
    ).replace(**changes)


def drawn(run):
    """Return random parameters of a run, and its table."""
    with jax.enable_x64(True):
        signature = run.task.signature()
        shapes = jax.eval_shape(lambda: run.model.start(jax.random.key(0), signature, jnp.float64))
        table = jax.device_get(jax.jit(run.task.draw)(split_keys(run)[1]))
    rng = np.random.default_rng(0)
    return {name: 0.5 * rng.normal(size=w.shape) for name, w in shapes.items()}, table


def test_shares_are_those_of_numpy():
    run = experiment()
    params, (inputs, labels) = drawn(run)
    _, found = recorded(run, gd.Start(params=params))
    names = [name for name in sorted(params) if params[name].ndim > 1]
    assert list(found.matrix.values) == names
    for part, where in PARTS.items():
        loss, g = loss_and_gradients(params, inputs[where], labels[where], HEADS)
        np.testing.assert_allclose(found[f"{part}_loss"], loss, rtol=1e-12)
        squares = [np.linalg.svd(g[name], compute_uv=False) ** 2 for name in names]
        exact = [s.max() / s.sum() for s in squares]
        np.testing.assert_allclose(found[f"{part}_gradient_top_share"], exact, rtol=1e-10)
        assert len({round(share, 6) for share in exact}) == len(exact)


def test_one_row_has_a_gradient_of_rank_one_in_the_readout():
    task = gd.KeyValueFacts(subjects=2, relations=1, answers=3, forms=1, multiplicity=1, asked=1)
    _, found = recorded(experiment(task=task, probes=(gd.GradientRank(parts=("asked", "told")),)))
    shares = found.sel(matrix=["W_U", "W_out_0"])
    np.testing.assert_allclose(shares.asked_gradient_top_share, 1, rtol=1e-12)
    assert (shares.told_gradient_top_share < 1 - 1e-6).all()


@pytest.mark.parametrize(
    ("parts", "told"),
    [(("asked", "ood"), r"probes\[0\]\.parts: got 'ood'; allowed: parts of the rows: train, test, told"), ((), "none")],
)
def test_parts_that_are_not_there_are_told(parts, told):
    with pytest.raises(gd.SpecError, match=told):
        gd.run(experiment(probes=(gd.GradientRank(parts=parts),)), progress=False)
