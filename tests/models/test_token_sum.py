"""The summing network against NumPy, and what its neurons hear of residues."""

import jax
import numpy as np
import pytest
import xarray as xr

import grokdyn as gd
from tests import cases

P = 7
EXPERIMENT = cases.tiny(
    task=gd.ModularArithmetic(op="add", p=P, pairs="symmetric", train_fraction=0.6),
    model=gd.TokenSum(d_model=5, hidden=4),
    probes=("loss", "fourier_entropy"),
    steps=1,
    record=gd.At((0,)),
    dtype="float64",
)
RNG = np.random.default_rng(4)


def params(**given):
    shapes = {"W_E": (P, 5), "W_in": (5, 4), "W_out": (4, 5), "W_U": (5, P)}
    return {name: given.get(name, RNG.standard_normal(shape)) for name, shape in shapes.items()}


def entropy(u):
    """Return the mean entropy over columns of the amplitudes at frequencies 1 to (p - 1)/2, by numpy's transform."""
    size = np.abs(np.fft.fft(u, axis=0))[1 : (P + 1) // 2]
    q = size / size.sum(0)
    return -(q * np.log(q, where=q > 0, out=np.zeros_like(q))).sum(0).mean()


@pytest.mark.usefixtures("x64")
def test_logits_are_those_of_numpy_whatever_the_order_of_the_tokens():
    w, (a, b) = params(), EXPERIMENT.task.operands()
    hidden = np.maximum((w["W_E"][a] + w["W_E"][b]) @ w["W_in"], 0)
    found = EXPERIMENT.model.apply(jax.tree.map(jax.numpy.asarray, w), jax.numpy.asarray(np.stack([b, a], 1)))
    np.testing.assert_allclose(found.logits, hidden @ w["W_out"] @ w["W_U"], rtol=1e-12)
    first = gd.TokenSum(d_model=400, hidden=300).start(jax.random.key(0), EXPERIMENT.task.signature(), "float64")
    for name, rows in {"W_E": P, "W_in": 400, "W_out": 300, "W_U": 400}.items():
        assert abs(float(first[name].std()) * rows**0.5 - 1) < 5 / (2 * first[name].size) ** 0.5


def test_the_entropy_of_a_neuron_is_that_of_its_spectrum():
    angle = 2 * np.pi * np.arange(P) / P
    one = np.stack([np.cos(2 * angle + phase) + level for phase, level in ((0, 0), (1, 3), (2, -1), (0.5, 9))], 1)
    two = one + np.cos(3 * angle)[:, None]
    silent = np.concatenate([one[:, :2], np.zeros((P, 2))], 1)
    found = []
    for received in (one, two, silent, None):
        own = {} if received is None else {"W_E": np.pad(received, ((0, 0), (0, 1))), "W_in": np.eye(5, 4)}
        w = params(**own)
        ds = gd.run(EXPERIMENT, start=gd.Start(params=w), progress=False)
        assert isinstance(ds, xr.Dataset)
        found.append((float(ds.fourier_entropy[0]), entropy(w["W_E"] @ w["W_in"]) if received is not silent else 0.0))
    np.testing.assert_allclose(*np.array(found).T, atol=1e-12)
    np.testing.assert_allclose([value for value, _ in found[:3]], [0, np.log(2), 0], atol=1e-12)


def test_what_the_entropy_does_not_fit_is_told():
    with pytest.raises(gd.SpecError, match="a task of residues as tokens"):
        gd.run(EXPERIMENT.replace(task=gd.Boolean(dimension=4), model=gd.MLP(), loss=gd.MSE()), progress=False)
    with pytest.raises(gd.SpecError, match="a model with a hidden layer pre_0"):
        gd.run(EXPERIMENT.replace(model=gd.Encoder(d_model=4, heads=2, ff=8)), progress=False)
