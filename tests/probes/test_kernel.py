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


def test_a_difference_of_two_logits_has_its_own_kernel_and_targets(seen):
    """Alignment with y = 1 for the first class, -1 for the second, 0 for the others."""
    run, params, _ = seen
    probe = gd.KernelAlignment(rows=ROWS, part="test", outputs="difference", first=2, second=1)
    changed = run.lane.replace(experiment=run.lane.experiment.replace(probes=(probe,)))
    moved = run.state.replace(params=params)
    found = jax.jit(lambda state: record(run.program, changed, run.rows, state, run.table))(moved)
    test = np.asarray(run.lane.split.order)[8:]
    full = twin(EXPERIMENT.model, params, jnp.asarray(run.table.inputs)[test])
    c = np.array([0.0, -1.0, 1.0, 0.0])
    K, y = np.einsum("ijab,a,b->ij", full, c, c), codes(run, test) @ c
    np.testing.assert_allclose(found["kernel_alignment"], cos(K, np.outer(y, y)), rtol=1e-9)


def test_a_difference_of_two_real_outputs_has_the_difference_of_their_targets():
    teacher = gd.TeacherStudent(dimension=3, points=8, teacher=gd.MLP(hidden=(2,)), teacher_outputs=3)
    probe = gd.KernelSpectrum(rows=6, outputs="difference", first=2, second=0, top=2)
    experiment = EXPERIMENT.replace(task=teacher, probes=(probe,))
    run = taken_apart(experiment)
    found = jax.jit(lambda state: record(run.program, run.lane, run.rows, state, run.table))(run.state)
    places, c = np.arange(6) * 8 // 6, np.array([-1.0, 0.0, 1.0])
    full = twin(EXPERIMENT.model, run.state.params, jnp.asarray(run.table.inputs)[places])
    y, vectors = np.asarray(run.table.labels)[places] @ c, np.linalg.eigh(np.einsum("ijab,a,b->ij", full, c, c))[1]
    energy = np.sum((vectors[:, -2:].T @ y) ** 2) / np.sum(y**2)
    np.testing.assert_allclose(found["kernel_label_energy"], energy, rtol=1e-6)


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


def test_features_at_two_times_are_compared_later():
    probe = gd.FeatureCKA(rows=ROWS, grams=True)
    with jax.enable_x64(False):
        ds = gd.run(EXPERIMENT.replace(probes=(probe,), record=gd.Every(1), **{"optimizer.learning_rate": 5.0}))
    found = gd.analysis.cka_over_time(ds)
    assert found.sizes == {"step": 3, "activation": 4, "other_step": 3}
    assert found.activation.values.tolist() == ["pre_0", "hidden_0", "pre_1", "hidden_1"]
    assert ds.other_activation.values.tolist() == found.activation.values.tolist()
    np.testing.assert_allclose(found.sel(other_step=0), ds.feature_cka_initial, rtol=1e-10)
    np.testing.assert_allclose(found, found.rename(step="other_step", other_step="step"), rtol=1e-12)
    assert found.sel(step=2, other_step=1).min() < 0.999
    with pytest.raises(ValueError, match="no such variable"):
        gd.analysis.cka_over_time(ds.drop_vars("feature_gram"))
    with pytest.raises(ValueError, match="no dimension feature_row, other_feature_row"):
        gd.analysis.cka_over_time(ds, "feature_cka")


def test_measures_have_the_values_that_need_no_computing():
    rng = np.random.default_rng(0)
    y, X = jnp.asarray(rng.normal(size=(9, 1))), jnp.asarray(rng.normal(size=(9, 4)))
    rotation = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    np.testing.assert_allclose(measures.alignment(y @ y.T, y), 1, rtol=1e-12)
    np.testing.assert_allclose(measures.cka(y @ y.T + 3.0, y), 1, rtol=1e-12)
    np.testing.assert_allclose(measures.linear_cka(X, -3 * X @ rotation + 2.0), 1, rtol=1e-12)
    np.testing.assert_allclose(measures.effective_rank(jnp.ones(7)), 7, rtol=1e-12)
    assert np.isnan(measures.cka(y @ y.T, jnp.ones((9, 1))))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_rounding_leaves_of_a_constant_is_no_direction(dtype):
    """0.1 is no sum of powers of two: the mean of many is not it."""
    y = jnp.asarray(np.random.default_rng(0).normal(size=(11, 1)), dtype)
    K = jnp.full((11, 11), 0.1, dtype)
    for of in (measures.cka, measures.one_sided):
        assert np.isnan(of(K, y))
        assert np.isnan(of(y @ y.T, jnp.full((11, 1), 0.1, dtype)))
    assert np.isnan(measures.linear_cka(jnp.full((11, 3), 0.1, dtype), y))
    np.testing.assert_allclose(measures.alignment(K, jnp.ones((11, 1), dtype)), 1, rtol=1e-6)
    # A millionth of variation is one, if a rough one in float32.
    varied = measures.cka(K * (1 + 1e-6 * y @ y.T), y)
    assert varied > (0.99 if dtype == "float64" else 0.8)


def test_a_kernel_of_zeros_has_no_spectrum_to_speak_of():
    zero = jnp.zeros((4, 4))
    values, share = measures.eigenvalues_and_energy(zero, jnp.ones((4, 1)), 2)
    assert not np.any(values)
    assert np.isnan(share)
    assert np.isnan(measures.effective_rank(values))
    assert np.isnan(measures.effective_rank(jnp.asarray([np.nan, 1.0])))


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


def test_models_without_layers_or_activations_are_told_before_anything_is_compiled():
    before = dict(TRACES)
    encoder = EXPERIMENT.replace(model=gd.Encoder(d_model=4, heads=2, ff=4))
    with pytest.raises(gd.SpecError, match=r"probes\[0\].method.*auto, jacobian, products: this model"):
        gd.run(encoder.replace(probes=(gd.KernelDrift(rows=4, method="layers"),)))
    blind = EXPERIMENT.replace(task=gd.MultiIndex(dimension=2, points=8), model=gd.Committee(width=4))
    with pytest.raises(gd.SpecError, match="names no activations"):
        gd.run(blind.replace(probes=(gd.FeatureCKA(rows=4),)))
    with pytest.raises(gd.SpecError, match="part: got 'rest'; allowed: one of table, train, test"):
        gd.run(EXPERIMENT.replace(probes=(gd.KernelAlignment(part="rest"),)))
    assert dict(TRACES) == before


@pytest.mark.parametrize(
    ("probe", "words"),
    [
        (gd.KernelAlignment(rows=20_000), "their kernel takes"),
        (gd.GradientCoherence(rows=20_000), "their gradients take"),
        (gd.FeatureCKA(rows=20_000), "their products take"),
    ],
)
def test_rows_that_memory_does_not_hold_are_told_before_anything_is_compiled(probe, words):
    wide = EXPERIMENT.replace(task=gd.MultiIndex(dimension=2, points=40_000), probes=(probe,))
    before = dict(TRACES)
    with pytest.raises(gd.SpecError, match=rf"probes.0..rows: got 20000; allowed: fewer: {words} .* GiB, at most 1"):
        gd.run(wide)
    assert dict(TRACES) == before
