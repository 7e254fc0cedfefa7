"""The gradient over the train rows: padding and tiles change nothing, and it is the textbook's."""

import jax
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.train.gradient import full_gradient
from tests import cases
from tests.train.lanes import taken_apart

pytestmark = pytest.mark.usefixtures("x64")
TRAIN = 34  # int(0.7 * 49)


def experiment(dtype="float64", **changes):
    model = gd.MLP(hidden=(8,), activation="square", bias=True)
    return cases.tiny(dtype=dtype, model=model, loss=gd.MSE(), **{"task.train_fraction": 0.7}, **changes)


def gradient(run):
    """Return the loss and its gradient at the run's first parameters."""

    def of(lane, rows, state):
        terms, grads, _ = full_gradient(run.program, lane, rows, state.step)(state.params)
        return terms.sum(), grads

    return jax.jit(of)(run.lane, run.rows, run.state)


def textbook(run):
    """Return loss and gradient of a one-layer square network in float64 numpy."""
    params = {name: np.asarray(w, np.float64) for name, w in run.state.params.items()}
    train = np.asarray(run.lane.split.order)[:TRAIN]
    tokens, y = np.asarray(run.table.inputs)[train], np.asarray(run.lane.split.labels)[train]
    x = np.concatenate([np.eye(7)[tokens[:, 0]], np.eye(7)[tokens[:, 1]]], axis=1)
    pre = x @ params["W_0"] + params["b_0"]
    errors = pre**2 @ params["W_1"] + params["b_1"] - np.eye(7)[y]
    slope = 2 * errors / errors.size
    inner = (slope @ params["W_1"].T) * 2 * pre
    found = {"W_0": x.T @ inner, "b_0": inner.sum(0), "W_1": (pre**2).T @ slope, "b_1": slope.sum(0)}
    return np.mean(errors**2), found


def assert_close(found, expected, rtol):
    """Compare losses, and gradients relative to their largest entry."""
    np.testing.assert_allclose(found[0], expected[0], rtol=rtol)
    assert found[1].keys() == expected[1].keys()
    for name, g in expected[1].items():
        np.testing.assert_allclose(found[1][name], g, rtol=0, atol=rtol * np.abs(g).max())


# Float32 sums of 34 rows and 8 units, in another order: a few dozen roundings of half a unit, 6e-8 each.
@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-13), ("float32", 4e-6)])
def test_a_gradient_is_the_textbooks(dtype, rtol):
    run = taken_apart(experiment(dtype))
    assert_close(gradient(run), textbook(run), rtol)


@pytest.mark.parametrize("padding", [1, 6, 30])
def test_padding_weighs_nothing(padding):
    run = taken_apart(experiment(), padding=padding)
    assert run.rows.counts.sum() == TRAIN
    assert_close(gradient(run), textbook(run), 1e-13)


@pytest.mark.parametrize(("rows", "tile"), [(48, 16), (36, 12), (34, 17), (64, 32), (35, 5)])
def test_tiles_change_nothing(rows, tile):
    run = taken_apart(experiment(), rows=rows, tile=tile)
    assert_close(gradient(run), textbook(run), 1e-13)


def test_tiles_change_no_more_than_rounding_in_float32():
    whole = gradient(taken_apart(experiment("float32")))
    assert_close(gradient(taken_apart(experiment("float32"), rows=48, tile=16)), whole, 1e-6)
