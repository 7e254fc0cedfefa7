"""The local learning coefficient where it is known in closed form, at default settings."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import grokdyn as gd
from grokdyn.engine.store.trust import warn_of_untrusted
from tests.probes.test_curvature import EXPERIMENT, losses_of, seen
from tests.train.lanes import taken_apart

pytestmark = pytest.mark.usefixtures("x64")


def deep_linear(widths, rank):
    """Return Aoyagi's coefficient of a product of matrices of these widths around a true one of a rank."""
    excess = sorted(width - rank for width in widths)
    for count in range(2, len(excess) + 1):
        few, others, steps = excess[:count], excess[count:], count - 1
        total = sum(few)
        if total >= steps * max(few) and (not others or total < steps * min(others)):
            break
    rest = total - (math.ceil(total / steps) - 1) * steps
    pairs = sum(a * b for i, a in enumerate(few) for b in few[:i])
    first = (rank * (widths[0] + widths[-1]) - rank**2) / 2
    return first + rest * (steps - rest) / (4 * steps) - (steps - 1) / 4 / steps * total**2 + pairs / 2


def reduced_rank(inputs, hidden, outputs, rank):
    """Return Aoyagi and Watanabe's coefficient of reduced-rank regression."""
    M, H, N, r = inputs, hidden, outputs, rank
    if N + r > M + H:
        return (H * M - H * r + N * r) / 2
    if M + r > N + H:
        return (H * N - H * r + M * r) / 2
    if H + r > M + N:
        return M * N / 2
    twice = -((H + r) ** 2) - M**2 - N**2 + 2 * (H + r) * (M + N) + 2 * M * N
    return (twice + (M + N + H + r) % 2) / 8


def quadratic(inputs, hidden, outputs):
    """Return the coefficient of V (W x)^2 with generic true weights and more than one output (arXiv 2603.01192)."""
    return min(hidden * (outputs + inputs - 1), outputs * inputs * (inputs + 1) / 2) / 2


def diagonal(widths, rank):
    return [np.eye(*pair) * (np.arange(pair[1]) < rank) for pair in itertools.pairwise(widths)]


def generic(widths):
    rng = np.random.default_rng(0)
    return [rng.normal(size=pair) / np.sqrt(pair[0]) for pair in itertools.pairwise(widths)]


def found_at(weights, activation, dtype):
    """Return what the probe finds of a network whose own outputs, at these weights, are the targets."""
    x = np.random.default_rng(1).normal(size=(40, len(weights[0])))
    y = x
    for layer, W in enumerate(weights):
        y = (np.square(y) if layer and activation == "square" else y) @ W

    class Given(gd.Task):
        def signature(self):
            return gd.Signature(gd.Vectors(x.shape[1]), gd.Reals(y.shape[1]), rows=40, parts={"all": "train"})

        def membership(self):
            return np.full(40, "all")

        def table(self):
            return gd.Table(x, y)

    experiment = EXPERIMENT.replace(
        task=Given(),
        model=gd.MLP(hidden=tuple(W.shape[1] for W in weights[:-1]), activation=activation),
        loss=gd.MSE(reduction="sum"),
        probes=(gd.LearningCoefficient(),),
        dtype=dtype,
    )
    return seen(experiment, {f"W_{layer}": jnp.asarray(W, dtype) for layer, W in enumerate(weights)})[1]


SINGULAR = {
    "reduced rank 5 3 5": (diagonal([5, 3, 5], 0), "identity", reduced_rank(5, 3, 5, 0)),
    "reduced rank 5 4 5": (diagonal([5, 4, 5], 0), "identity", reduced_rank(5, 4, 5, 0)),
    "reduced rank 5 3 5, rank 1": (diagonal([5, 3, 5], 1), "identity", reduced_rank(5, 3, 5, 1)),
    "reduced rank 2 3 6": (diagonal([2, 3, 6], 0), "identity", reduced_rank(2, 3, 6, 0)),
    "deep linear": (diagonal([4, 4, 4, 4], 0), "identity", deep_linear([4, 4, 4, 4], 0)),
    "deep linear, rank 1": (diagonal([4, 4, 4, 4], 1), "identity", deep_linear([4, 4, 4, 4], 1)),
    "deep linear, rank 2": (diagonal([4, 4, 4, 4], 2), "identity", deep_linear([4, 4, 4, 4], 2)),
    "deep linear, 5 matrices": (diagonal([3, 4, 3, 5, 3, 4], 1), "identity", deep_linear([3, 4, 3, 5, 3, 4], 1)),
    "quadratic, narrow": (generic([3, 2, 3]), "square", quadratic(3, 2, 3)),
    "quadratic": (generic([4, 3, 5]), "square", quadratic(4, 3, 5)),
    "quadratic, wide": (generic([3, 8, 2]), "square", quadratic(3, 8, 2)),
}


def test_the_closed_forms_agree_where_they_meet():
    """Three layers, all widths and ranks of a small range; and the values of the papers' tables."""
    for M, H, N in itertools.product(range(1, 7), repeat=3):
        for rank in range(min(M, H, N)):
            assert deep_linear([M, H, N], rank) == pytest.approx(reduced_rank(M, H, N, rank))
    assert deep_linear([10] * 5, 3) == 41
    assert deep_linear([4] * 4, 0) == 5.5
    assert deep_linear([4] * 4, 2) == pytest.approx(7.5)


def close_to_the_closed_form(case, dtype):
    weights, activation, exact = SINGULAR[case]
    found = found_at(weights, activation, dtype)
    assert abs(found["llc"] / exact - 1) < 0.2
    assert found["llc_rhat"] < 1.1
    assert found["llc_acceptance"] > 0.5


def test_by_default_a_singular_minimum_has_its_coefficient():
    """Three layers from the origin: its loss has no curvature at all, its coefficient the multiplicity 3."""
    close_to_the_closed_form("deep linear", "float64")


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", SINGULAR)
def test_by_default_singular_minima_have_their_coefficient(case, dtype):
    close_to_the_closed_form(case, dtype)


def test_the_learning_coefficient_of_a_quadratic_is_exact():
    """Linear regression off its minimum: the chain is Gaussian, of precision A = n_beta H + gamma."""
    probe = gd.LearningCoefficient(
        draws=4000, chains=8, burn_in=1000, step_size=0.02, n_beta=30.0, localisation=5.0, leaps=0
    )
    experiment = EXPERIMENT.replace(
        task=gd.LinearTeacher(dimension=3, points=12, noise_std=0.5),
        model=gd.MLP(hidden=(), init="normal"),
        loss=gd.MSE(),
        probes=(probe,),
    )
    run, found = seen(experiment)
    losses, w = losses_of(run, experiment, np.asarray(run.lane.split.order)[:6])
    g, H = (np.asarray(of(lambda w: jnp.mean(losses(w)))(w)) for of in (jax.grad, jax.hessian))
    A = 30 * H + 5 * np.eye(3)
    shift = -30 * np.linalg.solve(A, g)
    covariance = np.linalg.inv(A @ (np.eye(3) - 0.02 / 4 * A))
    exact = 30 * (g @ shift + shift @ H @ shift / 2 + np.trace(H @ covariance) / 2)
    assert abs(found["llc"] - exact) < 4 * found["llc_error"]
    assert found["llc_error"] < 0.05 * abs(exact)
    second = covariance + np.outer(shift, shift)
    np.testing.assert_allclose(found["llc_held"], 5 * np.trace(second) / 3, rtol=0.05)
    np.testing.assert_allclose(found["llc_virial"], np.trace(A @ covariance) / 3, rtol=0.05)
    assert 1 <= found["llc_rhat"] < 1.02


def test_by_default_the_learning_coefficient_of_regression_is_half_its_dimensions():
    """At the minimum of a regular model, within a tenth; a step too small for the chains to spread is told."""
    experiment = EXPERIMENT.replace(
        task=gd.LinearTeacher(dimension=20, points=120, train_points=100, noise_std=0.5),
        model=gd.MLP(hidden=(), init="normal", output_scale=20.0),
        loss=gd.MSE(),
        probes=(gd.LearningCoefficient(), gd.Sharpness()),
    )
    run = taken_apart(experiment)
    places = np.asarray(run.lane.split.order)[:100]
    x, y = 20 * np.asarray(run.table.inputs, np.float64)[places], np.asarray(run.table.labels, np.float64)[places]
    params = {"W_0": jnp.asarray(np.linalg.lstsq(x, y)[0])}
    found = seen(experiment, params)[1]
    assert abs(found["llc"] - 10) < 1
    assert found["llc_rhat"] < 1.2
    assert abs(found["llc_virial"] - 1) < 0.1
    assert found["llc_held"] < 0.01
    short = seen(
        experiment.replace(probes=(gd.LearningCoefficient(draws=100, burn_in=0, step_size=1e-7, leaps=0),)), params
    )[1]
    assert short["llc"] < 2
    assert short["llc_error"] < 0.3, "which alone would be believed"
    assert short["llc_rhat"] > 1.5
    assert short["llc_virial"] < 0.3


def test_a_learning_coefficient_costs_no_training_and_warns_where_it_is_not_to_be_trusted():
    """Chains of four draws do not agree; the warning names the variable, its bound and how many runs."""
    probe = gd.LearningCoefficient(draws=4, chains=3, burn_in=0, step_size=1e-6, leaps=2, traces=True, sensitivity=True)
    experiment = EXPERIMENT.replace(probes=(gd.WeightNorm(), probe), record=gd.Every(1))
    with jax.enable_x64(False):
        with pytest.warns(UserWarning, match=r"llc_rhat: above 1.1 in 1 of 1 run, up to") as warned:
            found = gd.run(experiment)
        without = gd.run(EXPERIMENT.replace(probes=(gd.WeightNorm(),), record=gd.Every(1)))
    assert len(warned) == 1
    np.testing.assert_array_equal(found.weight_norm, without.weight_norm)
    assert found.llc_trace.dims == ("step", "chain", "draw")
    np.testing.assert_allclose(found.llc_trace.mean(("chain", "draw")), found.llc, rtol=1e-9)
    np.testing.assert_allclose(found.llc_lowest, found.llc_trace.min(("chain", "draw")), rtol=1e-9)
    assert np.all(found.llc_error > 0)
    assert np.all(found.llc_at_half_step != found.llc)
    # Pulled or not, chains that have hardly left say the same.
    np.testing.assert_allclose(found.llc_at_double_localisation, found.llc, rtol=0.01)


def test_what_was_not_measured_or_agrees_is_no_reason_to_warn():
    swept = xr.Dataset({"r": (("seed", "step"), [[1.0, np.nan], [np.nan, np.nan]], {"trusted_to": 1.1})})
    found = warn_of_untrusted(swept.assign_attrs(axes="seed"))
    found["r"][1, 1] = 1.3
    found["r"].attrs["long_name"] = "R-hat"
    with pytest.warns(UserWarning, match="r: above 1.1 in 1 of 2 runs, up to 1.3"):
        warn_of_untrusted(found)
