"""The frozen part of the weights, against dense projections in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.spec.errors import SpecError
from tests.train.lanes import recorded, taken_apart

pytestmark = pytest.mark.usefixtures("x64")
TASK = gd.TeacherStudent(dimension=6, points=30, train_points=4, teacher=gd.MLP(hidden=(5,)), noise_std=0.5)
EXPERIMENT = gd.Experiment(
    task=TASK,
    model=gd.MLP(hidden=(), init="ntk", init_scale=1.5),
    loss=gd.MSE(),
    optimizer=gd.SGD(learning_rate=0.3),
    steps=20,
    record=gd.Every(5),
    probes=(gd.Loss(), gd.FrozenSubspace()),
    dtype="float64",
)


def rows(run):
    """Return inputs and targets, the train rows, the others, and the parameters of step 0."""
    x, y = (np.asarray(part, float) for part in run.table)
    order, n = np.asarray(run.lane.split.order), int(run.lane.split.n_train)
    params = {name: np.asarray(leaf) for name, leaf in run.state.params.items()}
    return x, y, order[:n], order[n:], params


def test_a_linear_student_keeps_what_its_rows_do_not_span():
    """4 rows of 6 entries, and 3 of a run beside it, whose rows are padded: 2 and 3 directions never move."""
    with jax.enable_x64(False):
        both = gd.run(gd.Sweep(EXPERIMENT, {"task.train_points": [4, 3]}))
    for points in (4, 3):
        found = both.sel(train_points=points)
        x, y, train, test, params = rows(taken_apart(EXPERIMENT.replace(**{"task.train_points": points})))
        frozen = np.eye(6) - np.linalg.pinv(x[train]) @ x[train]
        first = np.linalg.norm(frozen @ params["W_0"])
        np.testing.assert_allclose(found.frozen_norm, first, rtol=1e-10)
        assert np.all(found.learnable_rank == points)
        least = np.linalg.eigvalsh(x[train] @ x[train].T / 6).min() / points
        np.testing.assert_allclose(found.least_eigenvalue, least, rtol=1e-9)
        w = params["W_0"]
        np.testing.assert_allclose(found.frozen_share[0], first**2 / np.sum(w**2), rtol=1e-9)
        f = x[test] @ (w - frozen @ w) / np.sqrt(6)
        np.testing.assert_allclose(found.test_loss_without_frozen[0], np.mean((f - y[test]) ** 2), rtol=1e-9)


SCALE = 1.5


def outputs(params, x):
    hidden = jnp.maximum(x @ params["W_0"] / np.sqrt(x.shape[1]), 0)
    return SCALE * hidden @ params["W_1"] / np.sqrt(hidden.shape[1])


jacobian, outputs = jax.jit(jax.jacfwd(outputs)), jax.jit(outputs)


def dense(run, match):
    """Return what the probe measures at step 0 from the singular values of the whole Jacobian."""
    x, y, train, test, params = rows(run)
    names = [name for name in params if match in ("*", name)]
    parts = jacobian(params, x[train])
    J = np.concatenate([np.asarray(parts[name]).reshape(len(train), -1) for name in names], axis=1)
    w = np.concatenate([params[name].ravel() for name in names])
    values, vectors = np.linalg.svd(J, full_matrices=False)[1:]
    kept = vectors[values > 1e-5 * values[0]]
    learned = kept.T @ (kept @ w)
    without, at = dict(params), 0
    for name in names:
        size = params[name].size
        without[name], at = learned[at : at + size].reshape(params[name].shape), at + size
    return {
        "learnable_rank": len(kept),
        "frozen_norm": np.linalg.norm(w - learned),
        "frozen_share": np.sum((w - learned) ** 2) / np.sum(w**2),
        "least_eigenvalue": values[len(kept) - 1] ** 2 / len(train),
        "test_loss_without_frozen": np.mean((np.asarray(outputs(without, x[test])) - y[test]) ** 2),
    }


@pytest.mark.parametrize("match", ["*", "W_1", "W_0"])
def test_a_network_is_measured_as_by_its_dense_jacobian(match):
    """5 rows: more than the entries of an input have rank left for, with some units that no row turns on."""
    model = gd.MLP(hidden=(7,), init="ntk", output_scale=SCALE)
    changes = {"model": model, "probes": (gd.FrozenSubspace(match=match),), "task.train_points": 5, "steps": 1}
    experiment = EXPERIMENT.replace(**changes, record=gd.At((0,)))
    run, found = recorded(experiment)
    for name, value in dense(run, match).items():
        np.testing.assert_allclose(found[name], value, rtol=1e-8, err_msg=name)


def test_a_readout_on_more_units_than_rows_keeps_its_frozen_part():
    inner = gd.SGD(learning_rate=0.5)
    changes = {"model": gd.MLP(hidden=(9,), init="ntk"), "probes": (gd.FrozenSubspace(match="W_1"),)}
    frozen = gd.Groups(inner=inner, groups=(gd.Group(match="W_0", learning_rate=0.0),))
    with jax.enable_x64(False):
        found = gd.run(EXPERIMENT.replace(**changes, optimizer=frozen))
    np.testing.assert_allclose(found.frozen_norm, found.frozen_norm[0], rtol=1e-9)
    assert float(found.frozen_norm[0]) > 0.5
    assert np.ptp(found.test_loss_without_frozen.values) > 1e-3  # the rest learns


def test_first_weights_move_within_the_span_of_the_rows():
    """Whatever the units' signs do: 4 rows of 6 entries leave 2 directions of every unit as they were."""
    experiment = EXPERIMENT.replace(**{"model": gd.MLP(hidden=(2,), init="ntk"), "probes": (gd.Weights(entries=12),)})
    with jax.enable_x64(False):
        found = gd.run(experiment)
    x, _, train, _, params = rows(taken_apart(experiment))
    frozen = np.eye(6) - np.linalg.pinv(x[train]) @ x[train]
    W = found.weight.isel(step=-1).values[:12].reshape(6, 2)
    assert np.abs(W - params["W_0"]).max() > 1e-2
    np.testing.assert_allclose(frozen @ W, frozen @ params["W_0"], atol=1e-12)


def test_tensors_that_are_not_there_and_too_many_weights_are_refused():
    with pytest.raises(SpecError, match=r"probes\[0\]\.match: got 'Q_\*'; allowed: a pattern of tensors .*: W_0"):
        gd.run(EXPERIMENT.replace(probes=(gd.FrozenSubspace(match="Q_*"),)))
    large = {"model": gd.MLP(hidden=(100_000,)), "task.dimension": 30, "probes": (gd.FrozenSubspace(),)}
    with pytest.raises(SpecError, match=r"train rows times outputs times weights; allowed: at most"):
        gd.run(EXPERIMENT.replace(**large))
