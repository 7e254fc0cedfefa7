"""Sharpness of a ball, density of eigenvalues and commutators, against dense matrices and closed forms in float64."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import xarray as xr
from jax.flatten_util import ravel_pytree

import grokdyn as gd
from grokdyn.analysis.checks import ArgumentError
from grokdyn.curvature.lanczos import quadrature
from grokdyn.probes.commutator import CommutatorDefect
from grokdyn.train.step import record, view_of
from tests.train.lanes import taken_apart

pytestmark = pytest.mark.usefixtures("x64")
RHO, ROWS = 0.7, 6
LINEAR = gd.Experiment(
    task=gd.LinearTeacher(dimension=4, points=20, train_points=ROWS, noise_std=1.0),
    model=gd.MLP(hidden=()),
    loss=gd.MSE(),
    optimizer=gd.SGD(learning_rate=0.1),
    steps=2,
    dtype="float64",
)
CURVED = LINEAR.replace(model=gd.MLP(hidden=(3,), activation="tanh"))
BALLS = [
    gd.WorstSharpness(
        rows=ROWS, rho=RHO, norm=norm, adaptive=adaptive, m=m, steps=steps, starts=starts, name=f"{norm}{adaptive}{m}"
    )
    for norm, steps, starts in (("l2", 400, 1), ("linf", 40, 8))
    for adaptive, m in ((False, None), (True, 3))
]


def seen(experiment, *probes):
    run = taken_apart(experiment.replace(probes=probes), padding=2)
    return run, jax.device_get(jax.jit(lambda s: record(run.program, run.lane, run.rows, s, run.table))(run.state))


def quadratic(run, rows):
    """Return w, and H and b of the loss w . H w / 2 - b . w + c of some train rows."""
    places = np.asarray(run.lane.split.order)[rows]
    x, y = np.asarray(run.table.inputs, np.float64)[places], np.asarray(run.table.labels, np.float64)[places, 0]
    return np.asarray(run.state.params["W_0"])[:, 0], 2 * x.T @ x / len(x), 2 * x.T @ y / len(x)


def highest(H, g, norm):
    """Return max of e . H e / 2 + g . e over a ball, H positive: by the secular equation, or over all corners."""
    if norm == "linf":
        corners = RHO * np.asarray(list(itertools.product((-1, 1), repeat=len(g))))
        return np.max(0.5 * np.einsum("ci,ij,cj->c", corners, H, corners) + corners @ g)
    values, Q = np.linalg.eigh(H)
    b, low = Q.T @ g, values[-1]
    high = low + np.linalg.norm(g) / RHO + 1

    def length(mu):
        return np.linalg.norm(b / (mu - values))

    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if length(middle) > RHO else (low, middle)
    e = Q @ (b / (high - values))
    return 0.5 * e @ H @ e + g @ e


def test_the_worst_rise_of_a_quadratic_is_that_of_its_ball():
    run, found = seen(LINEAR, *BALLS)
    for probe in BALLS:
        groups = [np.arange(ROWS)] if probe.m is None else [np.arange(3), np.arange(3, 6)]
        expected = []
        for rows in groups:
            w, H, b = quadratic(run, rows)
            c = np.abs(w) if probe.adaptive else np.ones_like(w)
            expected.append(highest(c[:, None] * H * c, c * (H @ w - b), probe.norm))
        value = found[f"{probe.name}_worst_sharpness"]
        np.testing.assert_allclose(value, np.mean(expected), rtol=1e-8, err_msg=probe.name)


def test_adaptive_sharpness_does_not_change_when_layers_are_rescaled():
    probe = gd.WorstSharpness(rows=ROWS, rho=0.3, steps=5)
    plain = probe.replace(adaptive=False, name="p")
    run = taken_apart(CURVED.replace(model=gd.MLP(hidden=(3,)), probes=(probe, plain)))
    look = jax.jit(lambda s: record(run.program, run.lane, run.rows, s, run.table))
    params = run.state.params
    scaled = {"W_0": params["W_0"] * 4, "W_1": params["W_1"] / 4}
    one, other = look(run.state), look(run.state.replace(params=scaled))
    np.testing.assert_allclose(one["worst_sharpness"], other["worst_sharpness"], rtol=1e-12)
    assert abs(one["p_worst_sharpness"] / other["p_worst_sharpness"] - 1) > 0.1


def test_more_ascents_never_find_less_and_random_points_never_more():
    few, many = (gd.WorstSharpness(rows=ROWS, rho=1.0, starts=n, name=f"n{n}") for n in (1, 4))
    run, found = seen(CURVED, few, many)
    assert found["n4_worst_sharpness"] >= found["n1_worst_sharpness"] > 0
    view = view_of(run.program, run.lane, run.rows, run.state, run.table)
    loss = many.around(view, many.index(view))
    points = np.random.default_rng(0).normal(size=(2000, 15))
    rises = jax.vmap(loss)(jnp.asarray(points / np.linalg.norm(points, axis=1, keepdims=True))) - loss(jnp.zeros(15))
    assert found["n4_worst_sharpness"] >= rises.max()


@pytest.mark.parametrize(("norm", "variance"), [("l2", 1.0), ("linf", 1 / 3)])
def test_the_average_rise_of_a_quadratic_is_its_trace_within_its_error(norm, variance):
    probe = gd.AverageSharpness(rows=ROWS, rho=RHO, norm=norm, samples=800)
    run, found = seen(LINEAR, probe)
    w, H, _ = quadratic(run, np.arange(ROWS))
    expected = 0.5 * variance * RHO**2 * np.sum(w**2 * np.diag(H))
    assert 0 < found["average_sharpness_error"] < 0.1 * expected
    assert abs(found["average_sharpness"] - expected) < 4 * found["average_sharpness_error"]


@jax.jit
def curvature(params, x, y):
    flat, unravel = ravel_pytree(params)

    def loss(w):
        params = unravel(w)
        return jnp.mean(jnp.square(jnp.tanh(x @ params["W_0"]) @ params["W_1"] - y))

    return jax.hessian(loss)(flat), jax.grad(loss)(flat)


def dense(run, rows):
    """Return the Hessian and gradient of the mean loss of some places of the table."""
    x, y = jnp.asarray(run.table.inputs, jnp.float64)[rows], jnp.asarray(run.table.labels, jnp.float64)[rows]
    return jax.device_get(curvature(run.state.params, x, y))


def test_the_density_is_that_of_the_dense_hessian_within_its_error():
    few, many = gd.HessianDensity(iterations=4, starts=60), gd.HessianDensity(iterations=50, starts=60, name="all")
    run, found = seen(CURVED, few, many)
    values = np.linalg.eigvalsh(dense(run, np.asarray(run.lane.split.order)[:ROWS])[0])
    np.testing.assert_allclose(found["density_weight"].sum(-1), 1, rtol=1e-12)
    np.testing.assert_allclose(found["all_density_node"], np.broadcast_to(values, (60, 15)), atol=1e-9)
    for place, power in enumerate((1, 2, 3)):
        error = found["density_moment_error"][place]
        assert abs(found["density_moment"][place] - np.mean(values**power)) < 4 * error
        np.testing.assert_allclose(found["density_moment"][place], found["all_density_moment"][place], atol=5 * error)
    told = {name: (("start", "ritz"), found[f"all_{name}"]) for name in ("density_node", "density_weight")}
    grid, width = np.linspace(values[0] - 0.3, values[-1] + 0.3, 9), 0.3
    curve = gd.analysis.spectral_density(xr.Dataset(told), grid, width)
    exact = np.mean(scipy.stats.norm.pdf(grid[:, None], values, width), axis=1)
    assert np.all(np.abs(curve.density - exact) < 5 * curve.density_error)


def test_quadrature_is_exact_for_powers_below_twice_the_iterations():
    A = np.random.default_rng(0).normal(size=(9, 9))
    A, key = A + A.T, jax.random.key(1)
    nodes, weights = quadrature(lambda v: jnp.asarray(A) @ v, key, 9, 3, "float64")
    v = np.asarray(jax.random.normal(key, (3, 9), "float64")[0])
    v = v / np.linalg.norm(v)
    for power in range(6):
        exact = v @ np.linalg.matrix_power(A, power) @ v
        np.testing.assert_allclose(np.sum(weights * nodes**power), exact, rtol=1e-9)


def test_the_commutator_is_that_of_dense_hessians_and_of_two_small_steps():
    probe = gd.CommutatorDefect(batch=2, pairs=3)
    run, found = seen(CURVED, probe)
    view = view_of(run.program, run.lane, run.rows, run.state, run.table)
    order, defects, stepped = np.asarray(run.lane.split.order), [], []
    for key in jax.random.split(jax.random.fold_in(view.key, 3), 3):
        A, B = (order[np.asarray(rows)] for rows in probe.batches(view, key))
        assert len({*A, *B} & set(order[:ROWS])) == 4
        (HA, gA), (HB, gB) = dense(run, A), dense(run, B)
        scale = np.linalg.norm(gA) * np.linalg.norm(gB)
        defects.append(np.linalg.norm(HA @ gB - HB @ gA) / scale)
        stepped.append(np.linalg.norm(after(run, A, B) - after(run, B, A)) / (1e-5**2 * scale))
    np.testing.assert_allclose(found["commutator_defect"], np.median(defects), rtol=1e-9)
    np.testing.assert_allclose(found["commutator_defect"], np.median(stepped), rtol=1e-3)


def after(run, first, second, rate=1e-5):
    """Return the parameters after a step on one batch and one on another."""
    for rows in (first, second):
        flat, unravel = ravel_pytree(run.state.params)
        run = run._replace(state=run.state.replace(params=unravel(flat - rate * dense(run, rows)[1])))
    return np.asarray(ravel_pytree(run.state.params)[0])


@pytest.mark.parametrize(
    ("probe", "said"),
    [
        (gd.WorstSharpness(rows=ROWS, m=7), r"m: got 7; allowed: at most rows, 6"),
        (gd.WorstSharpness(rows=7), "rows: got 7; allowed: at most 6"),
        (CommutatorDefect(batch=4), "batch: got 4; allowed: at most 3, half of the train rows"),
    ],
)
def test_what_has_no_such_rows_is_told(probe, said):
    with pytest.raises(gd.SpecError, match=said):
        gd.run(LINEAR.replace(probes=(probe,)), progress=False)


def test_a_density_without_what_it_is_made_of_is_told():
    both = {name: (("start", "ritz"), np.ones((2, 3))) for name in ("density_node", "density_weight")}
    ds = xr.Dataset(both)
    with pytest.raises(ArgumentError, match="width=0: expected a number above 0"):
        gd.analysis.spectral_density(ds, [0.0], 0)
    with pytest.raises(ArgumentError, match="eigenvalues: expected finite numbers"):
        gd.analysis.spectral_density(ds, [[0.0]], 1.0)
    with pytest.raises(ArgumentError, match="density_node"):
        gd.analysis.spectral_density(ds.drop_vars("density_node"), [0.0], 1.0)
