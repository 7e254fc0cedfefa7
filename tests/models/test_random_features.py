"""Random features: what is fixed, what is trained, and where descent ends."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.theory import boolean
from tests import cases

pytestmark = pytest.mark.usefixtures("x64")
TASK = gd.Boolean(function="2parity", dimension=4, seen="own", train_fraction=1.0)
MODEL = gd.RandomFeatures(width=40, activation="tanh", gain=0.8, shift=0.3, draw=3)
X = np.asarray(TASK.table().inputs, np.float64)


def features(model):
    """Return phi [rows, N] as NumPy computes it from what was drawn."""
    keys = jax.random.split(jax.random.key(model.draw), 2)
    A = np.asarray(jax.random.normal(keys[0], (4, model.width), jnp.float64)) * model.gain / 2
    b = np.asarray(jax.random.normal(keys[1], (model.width,), jnp.float64)) * model.shift
    return np.tanh(X @ A + b)


def test_logits_read_out_fixed_features():
    W = np.random.default_rng(0).standard_normal((40, 2))
    found = MODEL.apply({"W": jnp.asarray(W)}, jnp.asarray(X))
    np.testing.assert_allclose(found.logits, features(MODEL) @ W / np.sqrt(40), rtol=1e-12)
    np.testing.assert_allclose(found.activations["hidden_0"], features(MODEL), rtol=1e-12)
    other = MODEL.replace(draw=4).apply({"W": jnp.asarray(W)}, jnp.asarray(X)).logits
    assert np.max(np.abs(other - found.logits)) > 0.01


def test_the_tangent_kernel_is_that_of_the_features():
    params = MODEL.start(jax.random.key(0), TASK.signature(), "float64")
    assert set(params) == {"W"}
    kernel = gd.ntk(MODEL, params, jnp.asarray(X))
    phi = features(MODEL)
    np.testing.assert_allclose(np.squeeze(kernel), phi @ phi.T / 40, rtol=1e-10)


def test_descent_ends_at_the_interpolator_of_least_norm():
    with jax.enable_x64(False):
        exp = cases.tiny(
            task=TASK,
            model=MODEL,
            loss=gd.MSE(),
            optimizer=gd.SGD(learning_rate=1.0, momentum=0.99),
            steps=20_000,
            record=gd.At((0, 20_000)),
            probes=("loss", gd.Walsh(sets=("x0", "x1", "x0x1"))),
            dtype="float64",
        )
        ds = gd.run(gd.Sweep(exp, {"model.draw": [1, 3], "seed": [0, 1]}), progress=False).isel(step=-1)
    seen, values = TASK.seen_rows(), TASK.values()
    for draw in (1, 3):
        phi = features(MODEL.replace(draw=draw))
        least = phi @ np.linalg.lstsq(phi[seen], values[seen], rcond=None)[0]
        expected = boolean.coefficients(least)[[1, 2, 3]]
        for seed in (0, 1):
            np.testing.assert_allclose(ds.walsh_coefficient.sel(draw=draw, seed=seed), expected, atol=1e-3)


def test_tokens_are_refused():
    told = r"model.kind: got inputs that are tokens; allowed: real vectors"
    with jax.enable_x64(False), pytest.raises(gd.SpecError, match=told):
        gd.run(cases.tiny(model=MODEL), progress=False)
