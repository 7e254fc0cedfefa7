"""Real targets on Gaussian inputs: formulas, statistics, and training on them against plain numpy."""

import jax
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.train.compiled import TRACES
from tests.train.lanes import taken_apart

pytestmark = pytest.mark.usefixtures("x64")


def drawn(task, seed=0):
    return jax.device_get(jax.jit(lambda key: task.draw(key))(jax.random.key(seed)))


def directions(task, seed=0):
    return np.asarray(task.directions(jax.random.split(jax.random.key(seed))[1]))


@pytest.mark.parametrize("combine", ["sum", "product"])
@pytest.mark.parametrize("basis", ["monomial", "hermite"])
def test_a_multi_index_target_is_its_polynomial(combine, basis):
    c = (0.3, -1.0, 0.5, 0.7, -0.2)
    names = ("constant", "linear", "quadratic", "cubic", "quartic")
    task = gd.MultiIndex(
        dimension=6, points=30, indices=3, combine=combine, basis=basis, **dict(zip(names, c, strict=True))
    )
    x, y = drawn(task)
    z = x.astype(np.float64) @ directions(task)
    terms = np.polynomial.hermite_e.hermeval(z, c) if basis == "hermite" else np.polynomial.polynomial.polyval(z, c)
    expected = terms.prod(1) if combine == "product" else terms.sum(1) / np.sqrt(3)
    np.testing.assert_allclose(y[:, 0], expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


def test_normalised_directions_have_the_length_of_an_average_one():
    task = gd.MultiIndex(dimension=6, indices=3, normalised=True)
    np.testing.assert_allclose(np.sum(directions(task) ** 2, axis=0), 6, rtol=1e-12)


def test_hermite_targets_of_normalised_directions_are_orthonormal_up_to_factorials():
    """Mean of He_2(z)^2 is 2! for z ~ N(0, 1); 4 standard errors of 40,000 points, whose square has variance 56."""
    task = gd.MultiIndex(dimension=3, points=40_000, basis="hermite", quadratic=1.0, normalised=True)
    _, y = drawn(task)
    assert abs(np.mean(y**2) - 2) < 4 * np.sqrt(56 / 40_000)
    assert abs(np.mean(y)) < 4 * np.sqrt(2 / 40_000)


def test_a_linear_teacher_has_the_variances_it_names():
    """Inputs of variance 1/D; the residual of least squares on many points is the noise; 5 standard errors."""
    x, y = drawn(gd.LinearTeacher(dimension=20, points=20_000, teacher_std=2.0, noise_std=0.5))
    assert abs(np.mean(x.astype(float) ** 2) * 20 - 1) < 5 * np.sqrt(2 / x.size)
    w, residual, *_ = np.linalg.lstsq(x.astype(float), y[:, 0].astype(float), rcond=None)
    assert abs(residual[0] / (20_000 - 20) - 0.25) < 5 * 0.25 * np.sqrt(2 / 20_000)
    assert 0.3 < np.mean(w**2) / 4 < 2.5  # 20 draws of chi squared: 5 standard errors are 1.6


def test_a_teacher_is_the_network_it_names():
    teacher = gd.MLP(hidden=(4,), activation="tanh", bias=True, output_scale=3.0)
    task = gd.TeacherStudent(dimension=3, points=10, teacher=teacher, teacher_outputs=2, input_std=0.5)
    x, y = drawn(task)
    start = jax.jit(lambda key: teacher.start(key, task.signature(), "float64"))
    params = start(jax.random.split(jax.random.key(0))[1])
    W = {name: np.asarray(value) for name, value in params.items()}
    expected = 3 * (np.tanh(x.astype(float) @ W["W_0"] + W["b_0"]) @ W["W_1"] + W["b_1"])
    np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("index", [1, 4, 12])
def test_a_kernel_eigenvector_is_one(index):
    x, y = drawn(gd.KernelEigenvector(dimension=5, points=12, index=index, epsilon=0.5))
    gram = x.astype(float) @ x.astype(float).T
    K = gram + 0.25 * gram**2
    np.testing.assert_allclose(K @ y[:, 0], np.linalg.eigvalsh(K)[-index] * y[:, 0], atol=2e-6)
    np.testing.assert_allclose(np.mean(y**2), 1, rtol=1e-6)


LINEAR = gd.Experiment(
    task=gd.LinearTeacher(dimension=4, points=12, train_points=5, noise_std=0.3),
    model=gd.MLP(hidden=(), init="ntk"),
    loss=gd.MSE(reduction="sum"),
    optimizer=gd.SGD(learning_rate=0.05),
    steps=6,
    record=gd.Every(1),
    probes=(gd.Loss(), gd.WeightNorm()),
    dtype="float64",
)


def test_a_sum_over_train_rows_is_descended_and_means_are_recorded():
    with jax.enable_x64(False):
        found = gd.run(LINEAR)
    run = taken_apart(LINEAR)
    table, train = jax.device_get(run.lane.table), np.asarray(run.lane.split.order)[:5]
    x, y, w = table.inputs.astype(float), table.labels.astype(float), np.array(run.state.params["W_0"])
    test = np.setdiff1d(np.arange(12), train)
    for t in range(7):
        residual = x @ w / 2 - y  # ntk: 1/sqrt(D)
        np.testing.assert_allclose(found.train_loss[t], np.mean(residual[train] ** 2), rtol=1e-10)
        np.testing.assert_allclose(found.test_loss[t], np.mean(residual[test] ** 2), rtol=1e-10)
        w = w - 0.05 * 2 * x[train].T @ residual[train] / 2


def test_train_points_are_an_axis_that_compiles_once():
    before = TRACES["advance"]
    found = gd.run(gd.Sweep(LINEAR.replace(steps=2), {"task.train_points": [2, 9], "task.noise_std": [0.0, 1.0]}))
    assert TRACES["advance"] == before + 1
    assert np.all(np.isfinite(found.test_loss))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"loss": gd.CrossEntropy()}, "loss.kind.*mse"),
        ({"loss": gd.SwitchLoss(first=gd.MSE(), then=gd.CrossEntropy(), at=1)}, "loss.then.kind"),
        ({"probes": (gd.Loss(), gd.Accuracy())}, r"probes\[1\].*real"),
        ({"task.train_points": 13}, "task.train_points.*at most points, 12"),
        ({"task": gd.KernelEigenvector(points=12, index=13)}, "task.index: got 13; allowed: at most points, 12"),
    ],
)
def test_what_does_not_fit_real_targets_is_told_before_anything_is_compiled(changes, words):
    before = dict(TRACES)
    with pytest.raises(gd.SpecError, match=words):
        gd.run(LINEAR.replace(**changes))
    assert dict(TRACES) == before


def test_a_corrupted_real_target_is_that_of_another_row():
    experiment = LINEAR.replace(**{"task.label_noise": 0.6, "task.noise": "wrong"})
    lane = taken_apart(experiment).lane
    changed = np.any(lane.split.labels != lane.table.labels, axis=1)
    assert changed.sum() == 3
    assert np.array_equal(changed, lane.split.corrupted)
    assert set(np.ravel(lane.split.labels).tolist()) <= set(np.ravel(lane.table.labels).tolist())


def test_noise_on_a_teacher_has_its_size_and_leaves_the_rest():
    """Its variance to 5 standard errors of 20,000 points; inputs and teacher are those without noise."""
    names = {"dimension": 3, "points": 10_000, "teacher": gd.MLP(hidden=(4,)), "teacher_outputs": 2}
    plain, noisy = drawn(gd.TeacherStudent(**names)), drawn(gd.TeacherStudent(**names, noise_std=0.5))
    np.testing.assert_array_equal(plain.inputs, noisy.inputs)
    noise = (noisy.labels - plain.labels).astype(float)
    assert abs(np.mean(noise**2) / 0.25 - 1) < 5 * np.sqrt(2 / noise.size)
    assert abs(np.corrcoef(noise.T)[0, 1]) < 5 / np.sqrt(len(noise))
    np.testing.assert_array_equal(plain.labels, drawn(gd.TeacherStudent(**names, noise_std=0.0)).labels)
