"""Baselines of the first kernel: the closed form is the linearised network under the same descent."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from tests.kernel.test_ntk import twin
from tests.train.lanes import recorded, taken_apart

pytestmark = pytest.mark.usefixtures("x64")
TEACHER = gd.MLP(hidden=(4,), activation="tanh")
EXPERIMENT = gd.Experiment(
    task=gd.TeacherStudent(dimension=3, points=14, train_points=6, teacher=TEACHER, teacher_outputs=2),
    model=gd.MLP(hidden=(5,), activation="tanh", bias=True, output_scale=2.0, linearised=True),
    loss=gd.MSE(),
    optimizer=gd.SGD(learning_rate=0.05),
    steps=12,
    record=gd.Every(4),
    probes=(gd.Loss(), gd.KernelDynamics(), gd.KernelDrift(rows=6), gd.Laziness(rows=6)),
    dtype="float64",
)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"model.centred": True, "model.rescaled": True, "loss": gd.MSE(reduction="sum")},
    ],
)
def test_the_linearised_network_follows_the_closed_form(changes):
    """Also with train rows padded beside a run that has more of them."""
    experiment = EXPERIMENT.replace(**changes)
    with jax.enable_x64(False):
        found = gd.run(gd.Sweep(experiment, {"task.train_points": [6, 9]}))
    for part in ("train", "test"):
        np.testing.assert_allclose(found[f"kernel_dynamics_{part}_loss"], found[f"{part}_loss"], rtol=1e-8)
    assert np.all(found.train_loss[:, -1] < 0.9 * found.train_loss[:, 0])
    assert np.all(found.kernel_change == 0)
    assert np.all(found.linearisation_error[:, 1:] < 1e-12)


def test_a_network_leaves_its_linearisation():
    found = gd.run(EXPERIMENT.replace(**{"model.linearised": False}))
    first = found.isel(step=0)
    np.testing.assert_allclose(first.kernel_dynamics_train_loss, first.train_loss, rtol=1e-12)
    assert abs(found.kernel_dynamics_train_loss[-1] / found.train_loss[-1] - 1) > 1e-3
    assert found.kernel_change[-1] > 1e-3


@pytest.mark.slow
def test_the_linearised_network_runs_beside_the_network_under_any_optimizer():
    """One more value of an axis; its losses are those of a model that is linear in its Jacobian's features."""
    experiment = EXPERIMENT.replace(optimizer=gd.AdamW(learning_rate=0.1), probes=(gd.Loss(),), record=gd.Every(4))
    with jax.enable_x64(False):
        found = gd.run(gd.Sweep(experiment, {"model.linearised": [False, True]}))
    run = taken_apart(experiment)
    x, y = (np.asarray(a, float) for a in run.table)
    order, first = np.asarray(run.lane.split.order), run.state.params

    def logits(params):
        return experiment.model.forward(params, x).logits

    f0, J = logits(first), jax.jit(jax.jacrev(logits))(first)

    def losses(params):
        f = f0 + sum(jnp.tensordot(J[k], params[k] - first[k], np.ndim(first[k])) for k in first)
        return jnp.mean((f - y) ** 2, axis=1)[order]

    transform = experiment.optimizer.transform()

    @jax.jit
    def step(params, memory):
        updates, memory = transform.update(jax.grad(lambda w: jnp.mean(losses(w)[:6]))(params), memory, params)
        return jax.tree.map(jnp.add, params, updates), memory

    params, memory, linear = first, transform.init(first), found.sel(linearised=True)
    for t in range(13):
        if t % 4 == 0:
            np.testing.assert_allclose(linear.train_loss.sel(step=t), jnp.mean(losses(params)[:6]), rtol=1e-9)
            np.testing.assert_allclose(linear.test_loss.sel(step=t), jnp.mean(losses(params)[6:]), rtol=1e-9)
        params, memory = step(params, memory)
    assert abs(found.train_loss[0, -1] / linear.train_loss[-1] - 1) > 1e-2


def test_kernel_regression_is_that_of_numpy():
    experiment = EXPERIMENT.replace(steps=1, record=gd.Every(1))
    run, found = recorded(experiment)
    x, y = (np.asarray(a, float) for a in run.table)
    order = np.asarray(run.lane.split.order)
    K = twin(experiment.model, run.state.params, x).transpose(0, 2, 1, 3)
    train, test = order[:6], order[6:]
    block = K[train][:, :, train].reshape(12, 12)
    f = K[test][:, :, train].reshape(-1, 12) @ np.linalg.solve(block, y[train].ravel())
    np.testing.assert_allclose(found.kernel_regression_test_loss, np.mean((f - y[test].ravel()) ** 2), rtol=1e-7)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"optimizer": gd.AdamW()}, "mse under sgd without"),
        ({"optimizer": gd.SGD(momentum=0.5)}, "mse under sgd without"),
        ({"optimizer": gd.SGD(schedule=gd.Warmup())}, "mse under sgd without"),
        ({"optimizer.momentum": [0.0, 0.5]}, "mse under sgd without"),
        ({"batch_size": 2}, "mse under sgd without"),
        ({"task.points": 5000, "task.train_points": 2049}, "at most 4096 train points times outputs; here 4098"),
        ({"task.points": 200_000, "task.train_points": 1000}, "fewer rows: 5.97 GiB for the kernel of all rows"),
    ],
)
def test_what_has_no_closed_form_is_told(changes, words):
    axes = {path: value for path, value in changes.items() if isinstance(value, list)}
    fixed = {path: value for path, value in changes.items() if path not in axes}
    with pytest.raises(gd.SpecError, match=words):
        gd.run(gd.Sweep(EXPERIMENT.replace(**fixed), axes))
