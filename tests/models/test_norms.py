"""Norms and convolutions against plain numpy: padding, chunks, strides; what a model carries."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.engine.plan import structure
from grokdyn.models.convolution import convolved, pooled
from grokdyn.models.norms import Statistics, batch_norm, row_norm
from grokdyn.models.output import Mode
from grokdyn.train.step import update
from tests import cases
from tests.train.lanes import taken_apart

pytestmark = pytest.mark.usefixtures("x64")
EPS, MOMENTUM, REAL = 1e-3, 0.3, 11
RNG = np.random.default_rng(0)
X = RNG.normal(size=(13, 2, 3)) + 2
RUNNING = Statistics(RNG.normal(size=3), RNG.uniform(1, 2, size=3))


def naive(chunk):
    """Normalise the real rows chunk by chunk, one after the other."""
    mean, variance, found = *RUNNING, []
    for start in range(0, REAL, chunk):
        part = X[start : min(start + chunk, REAL)]
        flat = part.reshape(-1, 3)
        found.append((part - flat.mean(0)) / np.sqrt(flat.var(0) + EPS))
        mean = (1 - MOMENTUM) * mean + MOMENTUM * flat.mean(0)
        variance = (1 - MOMENTUM) * variance + MOMENTUM * flat.var(0, ddof=1)
    return np.concatenate(found), mean, variance


@pytest.mark.parametrize("chunk", [None, 4, 5, 11, 40])
def test_batch_norm_sees_real_rows_alone_chunk_by_chunk(chunk):
    mode = Mode(training=True, counts=jnp.arange(13) < REAL)
    found, after = jax.jit(lambda x: batch_norm(x, RUNNING, mode, EPS, MOMENTUM, chunk))(X)
    exact = naive(chunk or REAL)
    np.testing.assert_allclose(found[:REAL], exact[0], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(after.mean, exact[1], rtol=1e-12)
    np.testing.assert_allclose(after.variance, exact[2], rtol=1e-12)
    measured, same = batch_norm(jnp.asarray(X), RUNNING, Mode(), EPS, MOMENTUM, chunk)
    np.testing.assert_allclose(measured, (X - RUNNING.mean) / np.sqrt(RUNNING.variance + EPS), rtol=1e-12, atol=1e-13)
    assert same is RUNNING


def test_rows_are_normed_by_their_own_units():
    centred = X - X.mean(-1, keepdims=True)
    np.testing.assert_allclose(row_norm(X, EPS, True), centred / np.sqrt(X.var(-1, keepdims=True) + EPS), rtol=1e-12)
    np.testing.assert_allclose(row_norm(X, EPS, False), X / np.sqrt((X**2).mean(-1, keepdims=True) + EPS), rtol=1e-12)


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 1), (3, 2)])
def test_a_convolution_is_its_sum(stride, padding):
    x, W = RNG.normal(size=(2, 6, 5, 3)), RNG.normal(size=(3, 2, 3, 4))
    wide = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    height, width = ((n + 2 * padding - k) // stride + 1 for n, k in ((6, 3), (5, 2)))
    exact = np.zeros((2, height, width, 4))
    for i, j in np.ndindex(height, width):
        window = wide[:, i * stride : i * stride + 3, j * stride : j * stride + 2]
        exact[:, i, j] = np.einsum("rabc,abco->ro", window, W)
    np.testing.assert_allclose(
        convolved(jnp.asarray(x), jnp.asarray(W), stride, padding), exact, rtol=1e-11, atol=1e-12
    )


def test_pooling_drops_what_is_left_and_its_gradient_goes_to_the_first_of_equals():
    x = np.round(RNG.normal(size=(2, 5, 4, 3)))
    windows = x[:, :4, :4].reshape(2, 2, 2, 2, 2, 3)
    np.testing.assert_array_equal(pooled(jnp.asarray(x), "max", 2), windows.max((2, 4)))
    np.testing.assert_allclose(pooled(jnp.asarray(x), "mean", 2), windows.mean((2, 4)), rtol=1e-15)
    gradient = jax.grad(lambda x: jnp.sum(pooled(x, "max", 2)))(jnp.zeros((1, 2, 2, 1)))
    np.testing.assert_array_equal(gradient[0, :, :, 0], [[1, 0], [0, 0]])


BATCHED = gd.MLP(hidden=(6, 5), norm="batch")


def test_a_padded_run_is_the_run_without_padding():
    plain, padded = (taken_apart(cases.tiny(model=BATCHED, dtype="float64"), padding=n) for n in (0, 9))
    found = []
    for run in (plain, padded):
        step = jax.jit(lambda lane, rows, state, r=run: update(r.program, lane, rows, state)[0])
        found.append(step(run.lane, run.rows, run.state))
    for name in ("params", "model"):
        ours, exact = (getattr(state, name) for state in found)
        assert ours
        for key in exact:
            np.testing.assert_allclose(ours[key], exact[key], rtol=1e-9, atol=1e-12)


REFUSED = [
    (gd.KernelAlignment(rows=5), BATCHED),
    (gd.GradientCoherence(rows=5), BATCHED),
    (gd.Laziness(rows=5), BATCHED),
    (gd.FeatureCKA(rows=5), BATCHED),
    (gd.NLMAlignment(), BATCHED),
]


@pytest.mark.parametrize(("probe", "model"), REFUSED, ids=lambda value: type(value).__name__)
def test_probes_of_single_rows_refuse_rows_that_see_each_other(probe, model):
    with pytest.raises(gd.SpecError, match="a model whose rows see each other in training") as caught:
        gd.run(cases.tiny(model=model, probes=(probe,)))
    assert len(str(caught.value).splitlines()) == 1
    assert caught.value.path == "probes[0].kind"


@pytest.mark.parametrize("change", [{"centred": True}, {"linearised": True}])
def test_batch_norm_has_no_lazy_limit(change):
    with pytest.raises(gd.SpecError, match="not a sum over single rows"):
        gd.run(cases.tiny(model=BATCHED.replace(**change)))
    with pytest.raises(ValueError, match="rows see each other"):
        gd.ntk(BATCHED, {}, jnp.zeros((2, 2), jnp.int32))


def test_more_train_rows_than_a_tile_are_still_passed_together(monkeypatch):
    experiment = cases.tiny(model=BATCHED, dtype="float64", steps=2, record=gd.At((2,)), **{"task.train_fraction": 0.8})
    whole = gd.run(experiment, progress=False)
    monkeypatch.setattr(structure, "CPU_TILE", 16)
    np.testing.assert_allclose(gd.run(experiment, progress=False).train_loss, whole.train_loss, rtol=1e-12)


@pytest.mark.parametrize("place", ["before", "after"])
def test_dropout_of_an_mlp_drops_its_share_in_training_alone(place):
    model = gd.MLP(hidden=(400,), activation="square", dropout=0.25, dropout_at=place)
    signature, x = gd.ModularArithmetic(p=5).signature(), jnp.asarray(gd.ModularArithmetic(p=5).table().inputs)
    params = model.start(jax.random.key(0), signature, "float64")
    measured, plain = (m.forward(params, x) for m in (model, model.replace(dropout=0.0)))
    np.testing.assert_array_equal(measured.logits, plain.logits)
    dropped = model.forward(params, x, jax.random.key(1)).activations["hidden_0"]
    gone = np.asarray(dropped) == 0
    assert abs(gone.mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / gone.size)
    scale = 1 / 0.75 if place == "after" else 1 / 0.75**2
    exact = np.asarray(plain.activations["hidden_0"]) * scale
    np.testing.assert_allclose(dropped[~gone], exact[~gone], rtol=1e-4)


def test_residual_layers_add_to_what_they_read():
    model = gd.MLP(hidden=(4, 4), activation="tanh", residual=True)
    signature, x = gd.ModularArithmetic(p=5).signature(), jnp.asarray(gd.ModularArithmetic(p=5).table().inputs)
    params = model.start(jax.random.key(0), signature, "float64")
    found = model.forward(params, x).activations
    exact = found["hidden_0"] + np.tanh(found["hidden_0"] @ params["W_1"])
    np.testing.assert_allclose(found["hidden_1"], exact, rtol=1e-12)
    with pytest.raises(gd.SpecError, match=r"hidden layers of one width; here \[4, 5\]"):
        gd.run(cases.tiny(model=model.replace(hidden=(4, 5))))
