"""The committee machine against its units' own sum; the lazy limit's parts against plain numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from tests.train.lanes import taken_apart

pytestmark = pytest.mark.usefixtures("x64")


def units(model, W, x, outputs=1):
    h = (np.asarray(x, float) @ np.asarray(W)).reshape(len(x), outputs, model.width)
    return model.output_scale * np.mean(h + 0.5 * model.epsilon * h**2, axis=-1)


@pytest.mark.parametrize("width", [3, 8])
def test_moments_give_the_sum_over_units(width):
    """Width 8 above 5 inputs is computed from moments, 3 from the units; gradients too."""
    model = gd.Committee(width=width, epsilon=0.7, output_scale=1.5)
    rng = np.random.default_rng(0)
    W, x = rng.normal(size=(5, 2 * width)), rng.normal(size=(6, 5))
    np.testing.assert_allclose(model.forward({"W": jnp.asarray(W)}, jnp.asarray(x)).logits, units(model, W, x, 2))
    gradient = jax.grad(lambda p: jnp.sum(model.forward(p, jnp.asarray(x)).logits[:, 1]))({"W": jnp.asarray(W)})["W"]
    slope = 1.5 / width * (1 + 0.7 * x @ W)
    expected = x.T @ slope
    expected[:, :width] = 0
    np.testing.assert_allclose(gradient, expected, rtol=1e-12, atol=1e-14)


def test_tokens_enter_as_one_hot_codes():
    model = gd.Committee(width=4, epsilon=0.3)
    task = gd.ModularArithmetic(p=3)
    params = model.start(jax.random.key(0), task.signature(), "float64")
    x = np.concatenate([np.eye(3)[task.table().inputs[:, i]] for i in range(2)], axis=1)
    found = model.forward(params, jnp.asarray(task.table().inputs)).logits
    np.testing.assert_allclose(found, units(model, params["W"], x, 3), rtol=1e-12)


ALPHA = 3.0
LAZY = gd.Experiment(
    task=gd.MultiIndex(dimension=4, points=9, train_points=6),
    model=gd.Committee(width=5, epsilon=0.5, output_scale=ALPHA, centred=True, rescaled=True),
    loss=gd.MSE(),
    optimizer=gd.SGD(learning_rate=0.7),
    steps=5,
    record=gd.Every(1),
    probes=(gd.Loss(), gd.GradientNorm()),
    dtype="float64",
)


def test_a_centred_rescaled_run_is_that_of_numpy():
    with jax.enable_x64(False):
        found = gd.run(LAZY)
    run = taken_apart(LAZY)
    table, order = jax.device_get(run.lane.table), np.asarray(run.lane.split.order)
    train, test = order[:6], order[6:]
    x, y, W = table.inputs.astype(float), table.labels.astype(float), np.array(run.state.params["W"])
    first = units(LAZY.model, W, x)
    for t in range(6):
        residual = units(LAZY.model, W, x) - first - y
        np.testing.assert_allclose(found.train_loss[t], np.mean(residual[train] ** 2), rtol=1e-10)
        np.testing.assert_allclose(found.test_loss[t], np.mean(residual[test] ** 2), rtol=1e-10)
        slope = ALPHA / 5 * (1 + 0.5 * x[train] @ W) * 2 * residual[train] / 6 / ALPHA**2
        gradient = x[train].T @ slope
        np.testing.assert_allclose(found.gradient_norm[t], np.linalg.norm(gradient), rtol=1e-10)
        W = W - 0.7 * gradient


def test_with_a_rescaled_rate_large_scales_learn_alike():
    """The lazy limit: f - f_0 after the same steps differs by O(1/alpha)."""
    with jax.enable_x64(False):
        ds = gd.run(gd.Sweep(LAZY, {"model.output_scale": [1e4, 2e4, 1.0]}))
    last = ds.train_loss.isel(step=-1).values
    assert abs(last[0] / last[1] - 1) < 1e-3 < abs(last[0] / last[2] - 1)


class Own(gd.MLP):
    """A model whose own rule hides that of the base class."""

    def problems(self):
        return iter(())


@pytest.mark.parametrize("model", [LAZY.model, gd.MLP(rescaled=True), Own(rescaled=True)], ids=["ours", "mlp", "own"])
@pytest.mark.parametrize("scale", [0.0, 1e-25, 1e25])
def test_a_rescaled_model_needs_a_scale(model, scale):
    with pytest.raises(gd.SpecError, match=r"model.output_scale.*above 0"):
        gd.run(LAZY.replace(model=model.replace(output_scale=scale)))
    with pytest.raises(gd.SpecError, match=r"model.output_scale.*above 0"):
        gd.run(gd.Sweep(LAZY.replace(model=model), {"model.output_scale": [1.0, scale]}))
