"""The committee machine's closed forms along a trajectory: quadrature for the error, Jacobians for the kernel."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.kernel.ntk import ntk
from grokdyn.theory import committee
from grokdyn.train.step import update
from tests.train.lanes import taken_apart

pytestmark = pytest.mark.usefixtures("x64")
D, N, STEPS = 3, 6, 40
EXPERIMENT = gd.Experiment(
    task=gd.MultiIndex(dimension=D, points=12, indices=2, linear=0.4, constant=-0.3, quadratic=0.5),
    model=gd.Committee(width=N, epsilon=0.8, output_scale=1.7),
    loss=gd.MSE(),
    optimizer=gd.SGD(learning_rate=1.0),
    steps=STEPS,
    record=gd.Every(8),
    probes=(gd.Loss(), gd.CommitteeError()),
    dtype="float64",
)


def quadrature():
    """Return nodes x and weights of Gauss and Hermite for N(0, I/D): exact for the fourth degree."""
    z, w = np.polynomial.hermite_e.hermegauss(3)
    nodes = np.array(list(itertools.product(z, repeat=D))) / np.sqrt(D)
    return nodes, np.array([np.prod(p) for p in itertools.product(w / w.sum(), repeat=D)])


@pytest.mark.parametrize("linearised", [False, True])
@pytest.mark.parametrize("centred", [False, True])
def test_the_error_is_the_sum_of_its_terms_along_a_trajectory(centred, linearised):
    experiment = EXPERIMENT.replace(**{"model.centred": centred, "model.linearised": linearised})
    with jax.enable_x64(False):
        found = gd.run(experiment)
    run = taken_apart(experiment)
    x, weight = quadrature()
    key = jax.random.split(jax.random.fold_in(jax.random.key(0), 1))[1]  # of the stream "split", its second half
    z = x @ np.asarray(experiment.task.directions(jax.random.split(key)[1]))
    y = np.sum(-0.3 + 0.4 * z + 0.5 * z**2, axis=1) / np.sqrt(2)
    table, order = jax.device_get(run.lane.table), np.asarray(run.lane.split.order)
    train = order[: int(run.lane.split.n_train)]
    model, W = experiment.model, np.array(run.state.params["W"])

    def f(W, x):
        h = x @ W
        return model.output_scale * np.mean(h + 0.5 * model.epsilon * h**2, axis=1)

    first = W.copy()

    def trained(x):
        start, slope = f(first, x), 1 + model.epsilon * x @ first
        now = start + model.output_scale * np.mean(slope * (x @ (W - first)), axis=1) if linearised else f(W, x)
        return now - start if centred else now

    for t in range(STEPS + 1):
        if t % 8 == 0:
            at = found.sel(step=t)
            error = trained(x) - y
            np.testing.assert_allclose(at.population_error, weight @ error**2, rtol=1e-9)
            parts = at.committee_variance + at.committee_misalignment + at.committee_linear
            np.testing.assert_allclose(parts, at.population_error, rtol=1e-12)
        rows = table.inputs[train].astype(float)
        residual = trained(rows) - table.labels[train, 0]
        bent = 1 + model.epsilon * rows @ (first if linearised else W)
        slope = model.output_scale / N * bent * (2 * residual / len(train))[:, None]
        W = W - rows.T @ slope
    assert np.ptp(found.population_error.values) > 0.2 * found.population_error[0], (
        "a trajectory that stays shows nothing"
    )


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
def test_the_kernel_has_its_closed_form_along_a_trajectory(dtype, tolerance):
    """Of the engine's own training; relative to the largest entry."""
    run = taken_apart(EXPERIMENT.replace(dtype=dtype))
    model, x, y = EXPERIMENT.model, run.table.inputs[:5], run.table.inputs[5:9]

    @jax.jit
    def step_and_kernels(state):
        W = state.params["W"].astype(jnp.float64)
        closed = committee.kernel(W, x.astype(jnp.float64), y.astype(jnp.float64), model.epsilon, model.output_scale)
        empirical = [ntk(model, state.params, x, y, method=method) for method in ("jacobian", "products", "layers")]
        return update(run.program, run.lane, run.rows, state)[0], closed, empirical

    state, seen = run.state, []
    for _ in range(STEPS + 1):
        state, closed, empirical = step_and_kernels(state)
        for found in empirical:
            np.testing.assert_allclose(found, closed, rtol=0, atol=tolerance * np.abs(closed).max())
        seen.append(closed)
    change = np.linalg.norm(seen[-1] - seen[0]) / np.linalg.norm(seen[0])
    assert change > 0.2, "a kernel that stays shows nothing"


def test_a_wide_committee_starts_with_the_kernel_of_infinite_width():
    """Entries of wbar and M - I are of order 1/sqrt(N)."""
    x = jnp.asarray(np.random.default_rng(0).normal(size=(6, D)) / np.sqrt(D))
    W = jax.random.normal(jax.random.key(0), (D, 1_000_000), jnp.float64)
    limit = committee.infinite_kernel(x, x, 0.5)
    np.testing.assert_allclose(1e6 * committee.kernel(W, x, x, 0.5), limit, atol=5e-3 * np.abs(limit).max())


def test_eigenvalues_of_the_infinite_kernel_are_those_of_many_points():
    """The Gram matrix over points has P times the eigenvalues; D modes are linear, then come the squares."""
    dimension, points, epsilon = 8, 1500, 0.3
    x = np.random.default_rng(0).normal(size=(points, dimension)) / np.sqrt(dimension)
    values = np.sort(np.linalg.eigvalsh(np.asarray(committee.infinite_kernel(x, x, epsilon))))[::-1] / points
    told = committee.kernel_eigenvalues(dimension, epsilon)
    np.testing.assert_allclose(np.mean(values[:8]), told["linear"], rtol=0.05)
    pairs = dimension * (dimension + 1) // 2 - 1
    # Between the linear modes and zero: the norm's one mode and the pairs. Their mean is exact on average.
    expected = (told["norm"] + pairs * told["quadratic"]) / (pairs + 1)
    np.testing.assert_allclose(np.mean(values[8 : 9 + pairs]), expected, rtol=0.05)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": gd.MLP(hidden=(3,))},
        {"task.cubic": 0.5},
        {"task.combine": "product"},
        {"task": gd.LinearTeacher(dimension=3, points=12)},
    ],
)
def test_what_has_no_closed_form_is_told(changes):
    with pytest.raises(gd.SpecError, match=r"probes\[1\].kind.*committee on multi_index"):
        gd.run(EXPERIMENT.replace(**changes))
