"""Probes of the tangent kernel against plain numpy on the kernel's dense twin."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.kernel import measures
from grokdyn.train.compiled import TRACES
from grokdyn.train.step import record
from tests.kernel.test_ntk import twin
from tests.train.lanes import taken_apart

pytestmark = pytest.mark.usefixtures("x64")
ROWS = 8
EXPERIMENT = gd.Experiment(
    task=gd.ModularArithmetic(p=4, train_fraction=0.5),
    model=gd.MLP(hidden=(5, 3), activation="tanh", bias=True),
    loss=gd.MSE(),
    optimizer=gd.SGD(learning_rate=0.3),
    steps=2,
    dtype="float64",
    probes=(
        gd.KernelAlignment(rows=ROWS, part="test"),
        gd.KernelSpectrum(rows=ROWS, part="test", top=3),
        gd.KernelDrift(rows=ROWS),
        gd.KernelVelocity(rows=ROWS, part="train"),
        gd.Laziness(rows=ROWS),
        gd.FeatureCKA(rows=ROWS),
    ),
)


@pytest.fixture(scope="module")
def seen():
    """Return a run whose parameters have moved, and what the probes see of it."""
    with jax.enable_x64(True):
        run = taken_apart(EXPERIMENT)
        rng = np.random.default_rng(1)
        moved = {name: w + 0.3 * rng.normal(size=w.shape) for name, w in run.state.params.items()}
        state = run.state.replace(params=moved)
        lane = run.lane.replace(initial_params=run.state.params)
        found = jax.jit(lambda state: record(run.program, lane, run.rows, state, run.table))(state)
        return run, moved, jax.device_get(found)


def kernel_of(run, params, places):
    x = jnp.asarray(run.table.inputs)[places]
    return np.einsum("ijaa->ij", twin(EXPERIMENT.model, params, x)) / 4


def codes(run, places):
    return np.eye(4)[np.asarray(run.table.labels)[places]]


def cos(A, B):
    return np.sum(A * B) / np.sqrt(np.sum(A**2) * np.sum(B**2))


def test_alignment_and_spectrum_are_those_of_numpy(seen):
    run, params, found = seen
    test = np.asarray(run.lane.split.order)[8:]
    K, Y = kernel_of(run, params, test), codes(run, test)
    H = np.eye(ROWS) - 1 / ROWS
    np.testing.assert_allclose(found["kernel_alignment"], cos(K, Y @ Y.T), rtol=1e-9)
    np.testing.assert_allclose(found["kernel_cka"], cos(H @ K @ H, H @ Y @ Y.T @ H), rtol=1e-9)
    y = Y - Y.mean(0)
    np.testing.assert_allclose(found["kernel_alignment_one_sided"], cos(K - K.mean(axis=0), y @ y.T), rtol=1e-9)
    values, vectors = np.linalg.eigh(K)
    np.testing.assert_allclose(found["kernel_top_eigenvalue"], values[-1], rtol=1e-9)
    p = np.maximum(values, 0) / np.maximum(values, 0).sum()
    np.testing.assert_allclose(found["kernel_effective_rank"], np.exp(-np.sum(p * np.log(p))), rtol=1e-9)
    energy = np.sum((vectors[:, -3:].T @ Y) ** 2) / np.sum(Y**2)
    np.testing.assert_allclose(found["kernel_label_energy"], energy, rtol=1e-8)


def test_drift_and_velocity_are_those_of_numpy(seen):
    run, params, found = seen
    table = np.arange(ROWS) * 2
    K, first = kernel_of(run, params, table), kernel_of(run, run.state.params, table)
    np.testing.assert_allclose(found["kernel_distance"], 1 - cos(K, first), rtol=1e-8)
    np.testing.assert_allclose(found["kernel_change"], np.linalg.norm(K - first) / np.linalg.norm(first), rtol=1e-9)
    train = np.asarray(run.lane.split.order)[:8]
    x, y = jnp.asarray(run.table.inputs)[train], jnp.asarray(codes(run, train))
    gradient = jax.grad(lambda p: jnp.mean((EXPERIMENT.model.forward(p, x).logits - y) ** 2))(params)
    h = 1e-4  # central differences are right to h^2
    ahead, behind = ({k: w - s * h * 0.3 * gradient[k] for k, w in params.items()} for s in (1, -1))
    dK = (kernel_of(run, ahead, train) - kernel_of(run, behind, train)) / (2 * h)
    K = kernel_of(run, params, train)
    np.testing.assert_allclose(found["kernel_velocity"], np.linalg.norm(dK) / np.linalg.norm(K), rtol=1e-6)


def test_the_linearised_network_is_that_of_the_jacobian(seen):
    run, params, found = seen
    x, first = jnp.asarray(run.table.inputs)[np.arange(ROWS) * 2], run.state.params

    def logits(p):
        return EXPERIMENT.model.forward(p, x).logits

    J = jax.jacrev(logits)(first)
    linear = sum(np.tensordot(J[k], params[k] - first[k], np.ndim(first[k])) for k in params)
    change = logits(params) - logits(first)
    np.testing.assert_allclose(
        found["linearisation_error"], np.linalg.norm(change - linear) / np.linalg.norm(change), rtol=1e-9
    )
    sizes = [
        np.sqrt(sum(np.sum(np.square(w)) for w in tree))
        for tree in ((params[k] - first[k] for k in params), first.values())
    ]
    np.testing.assert_allclose(found["parameter_movement"], sizes[0] / sizes[1], rtol=1e-12)


def test_feature_cka_is_that_of_numpy(seen):
    run, params, found = seen
    x = jnp.asarray(run.table.inputs)[np.arange(ROWS) * 2]
    now, first = (EXPERIMENT.model.forward(p, x).activations for p in (params, run.state.params))

    def cka(X, Z):
        X, Z = (np.asarray(A) - np.mean(A, axis=0) for A in (X, Z))
        return np.sum((Z.T @ X) ** 2) / (np.linalg.norm(X.T @ X) * np.linalg.norm(Z.T @ Z))

    names = list(now)
    assert names == ["pre_0", "hidden_0", "pre_1", "hidden_1"]
    for i, a in enumerate(names):
        np.testing.assert_allclose(found["feature_cka_initial"][i], cka(now[a], first[a]), rtol=1e-9)
        for j, b in enumerate(names):
            np.testing.assert_allclose(found["feature_cka"][i, j], cka(now[a], now[b]), rtol=1e-9)


def test_measures_have_the_values_that_need_no_computing():
    rng = np.random.default_rng(0)
    y, X = jnp.asarray(rng.normal(size=(9, 1))), jnp.asarray(rng.normal(size=(9, 4)))
    rotation = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    np.testing.assert_allclose(measures.alignment(y @ y.T, y), 1, rtol=1e-12)
    np.testing.assert_allclose(measures.cka(y @ y.T + 3.0, y), 1, rtol=1e-12)
    np.testing.assert_allclose(measures.linear_cka(X, -3 * X @ rotation + 2.0), 1, rtol=1e-12)
    np.testing.assert_allclose(measures.effective_rank(jnp.ones(7)), 7, rtol=1e-12)
    assert np.isnan(measures.cka(y @ y.T, jnp.ones((9, 1))))


@pytest.mark.parametrize(
    ("probe", "words"),
    [
        (gd.KernelAlignment(rows=17), r"probes\[0\].rows: got 17; allowed: at most 16, all of the table"),
        (gd.KernelAlignment(rows=9, part="test"), "at most 8, all of the test rows"),
        (gd.Laziness(rows=9, part="train"), "at most 8, all of the train rows"),
        (gd.KernelDrift(rows=4, outputs="difference", second=4), "two different classes below 4"),
        (gd.KernelSpectrum(rows=4, top=5), "probes.0..top: got 5; allowed: at most the number of rows, 4"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_compiled(probe, words):
    before = dict(TRACES)
    with pytest.raises(gd.SpecError, match=words):
        gd.run(EXPERIMENT.replace(probes=(probe,)))
    assert dict(TRACES) == before


def test_models_without_layers_or_activations_are_told():
    encoder = EXPERIMENT.replace(model=gd.Encoder(d_model=4, heads=2, ff=4))
    with pytest.raises(gd.SpecError, match=r"probes\[0\].method.*auto, jacobian, products: this model"):
        gd.run(encoder.replace(probes=(gd.KernelDrift(rows=4, method="layers"),)))
    blind = EXPERIMENT.replace(task=gd.MultiIndex(dimension=2, points=8), model=gd.Committee(width=4))
    with pytest.raises(gd.SpecError, match="names no activations"):
        gd.run(blind.replace(probes=(gd.FeatureCKA(rows=4),)))
    wide = EXPERIMENT.replace(task=gd.MultiIndex(dimension=2, points=40_000), model=gd.Committee(width=4))
    with pytest.raises(gd.SpecError, match=r"rows: got 20000; allowed: fewer: their kernel takes .* GiB, at most 1"):
        gd.run(wide.replace(probes=(gd.KernelAlignment(rows=20_000),)))
    with pytest.raises(gd.SpecError, match="part: got 'rest'; allowed: one of table, train, test"):
        gd.run(EXPERIMENT.replace(probes=(gd.KernelAlignment(part="rest"),)))
