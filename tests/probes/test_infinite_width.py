"""The limit beside the network: nothing between them where the network is linear, and a twin in NumPy elsewhere."""

import jax
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.theory import infinite_width as wide
from grokdyn.theory.lines.rows import rows_of
from grokdyn.theory.lines.wide_network import layers_of
from tests.train.lanes import recorded

EXPERIMENT = gd.Experiment(
    task=gd.TeacherStudent(
        dimension=3, points=14, train_points=6, teacher=gd.MLP(hidden=(4,)), teacher_outputs=2, label_noise=0.4
    ),
    model=gd.MLP(hidden=(), init="torch", bias=True, output_scale=2.0, rescaled=True),
    loss=gd.MSE(reduction="sum"),
    optimizer=gd.SGD(learning_rate=0.01),
    steps=12,
    record=gd.Every(4),
    probes=(gd.Loss(), gd.InfiniteWidth()),
    dtype="float64",
)


def test_a_linear_network_is_its_limit():
    """Also with train rows padded beside a run that has more of them."""
    found = gd.run(gd.Sweep(EXPERIMENT, {"task.train_points": [6, 9]}))
    np.testing.assert_allclose(found.limit_kernel_error, 0, atol=1e-12)
    np.testing.assert_allclose(found.limit_function_error, 0, atol=1e-9)
    for part in ("train", "test"):
        np.testing.assert_allclose(found[f"limit_{part}_loss"], found[f"{part}_loss"], rtol=1e-8)


@pytest.mark.usefixtures("x64")
def test_a_network_with_a_hidden_layer_has_the_distances_of_a_twin():
    model = gd.MLP(hidden=(5,), init="ntk", bias=True, activation="erf", output_scale=1.5, init_scale=1.2)
    experiment = EXPERIMENT.replace(model=model, loss=gd.MSE(), record=gd.At((0, 12)))
    with jax.enable_x64(False):
        found, rows = gd.run(experiment), rows_of(experiment)
    run, train, n = recorded(experiment.replace(probes=("loss",)))[0], rows.parts["train"], 6
    layers, y = layers_of(model, experiment.task.signature()), rows.y
    cross = wide.kernels(rows.x, rows.x[train], layers, "erf").tangent
    K = jax.jit(lambda w: gd.ntk(model, w, rows.x, rows.x[train]))(run.state.params)
    error = np.linalg.norm(K - cross) / np.linalg.norm(cross)
    np.testing.assert_allclose(found.limit_kernel_error[0], error, rtol=1e-9)
    f = f0 = np.asarray(jax.jit(model.forward)(run.state.params, rows.x).logits)
    for _ in range(12):
        f = f - 0.02 / (n * 2) * cross @ (f - y)[train]
    for step, one in ((0, f0), (12, f)):
        for part in ("train", "test"):
            told = np.mean(np.square(one - y)[rows.parts[part]])
            np.testing.assert_allclose(found[f"limit_{part}_loss"].sel(step=step), told, rtol=1e-9)
    assert float(found.limit_function_error[0]) < 1e-12 < 1e-6 < float(found.limit_function_error[1])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": gd.MLP(hidden=(5,), activation="tanh", init="ntk")}, r"model\.activation = 'tanh'.*infinite width"),
        ({"optimizer.momentum": 0.9}, r"momentum"),
        ({"loss": gd.MSE(), "batch_size": 3}, r"batch_size = 3"),
    ],
)
def test_what_has_no_limit_is_told(change, words):
    with pytest.raises(gd.SpecError, match=words):
        gd.run(EXPERIMENT.replace(**change))
