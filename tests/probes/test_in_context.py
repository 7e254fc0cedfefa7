"""The predictors in context against numpy prompt by prompt, and the network's own losses and responses against it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.probes.in_context import predictors
from tests.train.lanes import recorded

pytestmark = pytest.mark.usefixtures("x64")
D, N, ROWS = 3, 5, 30


def by_hand(prompt, n, noise):
    """Return what ridge regression and one step predict from the last n pairs of one prompt."""
    X, y, x = prompt[N - n : N, :D], prompt[N - n : N, D], prompt[N, :D]
    step = x @ X.T @ y / (n + D + 1 + noise**2) if n else 0.0
    if noise:
        return x @ np.linalg.solve(X.T @ X + noise**2 * np.eye(D), X.T @ y), step
    return (x @ np.linalg.pinv(X) @ y if n else 0.0), step


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_predictors_are_numpys_at_every_length(noise):
    """Without noise also where more pairs are shown than there are directions."""
    prompts = np.random.default_rng(0).normal(size=(ROWS, N + 1, D + 1))
    prompts[..., D] = np.einsum("rtd,rd->rt", prompts[..., :D], prompts[:, 0, :D])  # one w a prompt
    prompts[:3, -3] = prompts[:3, -2]  # a pair twice
    found = jax.jit(predictors)(jnp.asarray(prompts), noise)
    exact = np.array([[by_hand(prompt, n, noise) for prompt in prompts] for n in range(N + 1)])
    for place in (0, 1):
        np.testing.assert_allclose(found[place], exact[..., place], rtol=1e-8, atol=1e-9)


def test_losses_distances_and_the_response_are_numpys():
    """A layer of linear attention, whose weights tell its response: x . A x_i y_i of a pair."""
    experiment = gd.Experiment(
        task=gd.InContextRegression(dimension=D, pairs=N, prompts=ROWS, noise_std=0.5),
        model=gd.Transformer(d_model=6, heads=1, d_mlp=0, attention="linear", positions="none", init_scale=0.7),
        loss=gd.MSE(),
        optimizer=gd.SGD(learning_rate=0.0),
        steps=1,
        batch_size=4,
        record=gd.At((0,)),
        probes=("loss", gd.InContext(lengths=(0, 2, N))),
        dtype="float64",
    )
    run, ds = recorded(experiment)
    inputs, target = np.asarray(run.table.inputs, float), np.asarray(run.table.labels, float)[:, 0]
    w = {name: np.asarray(value) for name, value in run.state.params.items()}
    for place, n in enumerate((0, 2, N)):
        told = np.array([by_hand(prompt, n, 0.5) for prompt in inputs])
        tokens = inputs[:, N - n :] @ w["W_read"]
        q, k, v = (tokens @ w[f"W_{name}_0"] for name in "QKV")
        read = np.einsum("rd,rtd,rte->re", q[:, -1], k, v) / 6**0.5
        network = ((tokens[:, -1] + read @ w["W_O_0"]) @ w["W_U"])[:, 0]
        expected = {
            "in_context_loss": network - target,
            "ridge_loss": told[:, 0] - target,
            "one_step_loss": told[:, 1] - target,
            "ridge_distance": network - told[:, 0],
            "one_step_distance": network - told[:, 1],
        }
        for name, off in expected.items():
            np.testing.assert_allclose(ds[name][place], np.mean(off**2), rtol=1e-9)
    np.testing.assert_allclose(ds.test_loss, ds.in_context_loss[-1], rtol=1e-6)
    M = w["W_read"] @ w["W_K_0"] @ w["W_Q_0"].T @ w["W_read"].T / 6**0.5
    u = (w["W_read"] @ w["W_V_0"] @ w["W_O_0"] @ w["W_U"])[:, 0]
    A = u[D] * M[:D, :D] + np.outer(u[:D], M[D, :D])
    np.testing.assert_allclose(ds.step_matrix, A, rtol=1e-9, atol=1e-12)
