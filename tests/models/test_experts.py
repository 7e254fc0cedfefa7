"""Mixtures of experts against a loop over tokens, their penalty against its definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.models.experts import chosen, imbalance
from grokdyn.train.gradient import full_gradient
from tests import cases
from tests.models.test_transformer import SMALL, close, parameters, tokens
from tests.train.lanes import taken_apart

pytestmark = pytest.mark.usefixtures("x64")
MODEL = SMALL.replace(experts=3, top=2, norm="pre", load_balance=0.5)


def feed_forward(params, x):
    """Return what the experts add to one token, and the router's probabilities."""
    scores = x @ params["W_router_0"]
    p = np.exp(scores - scores.max())
    p, added = p / p.sum(), np.zeros_like(x)
    for expert in np.argsort(-p, kind="stable")[:2]:
        hidden = np.maximum(x @ params["W_in_0"][expert] + params["b_in_0"][expert], 0)
        added += p[expert] * (hidden @ params["W_out_0"][expert] + params["b_out_0"][expert])
    return added, p


def test_a_token_gets_the_weighted_sum_of_its_most_probable_experts():
    params, inputs = parameters(MODEL), tokens(12)
    found = jax.jit(lambda p: MODEL.forward(p, inputs))(params)
    mid = np.asarray(found.activations["resid_mid_0"])
    normed = (mid - mid.mean(-1, keepdims=True)) / np.sqrt(mid.var(-1, keepdims=True) + 1e-5)
    normed = normed * params["ln2_scale_0"] + params["ln2_shift_0"]
    added, p = (np.stack(part) for part in zip(*(feed_forward(params, x) for x in normed), strict=True))
    close(found.activations["router_0"], p, 1e-12)
    close(found.activations["resid_post_0"], mid + added, 1e-12)
    first_two = np.sort(np.argsort(-p, axis=1, kind="stable")[:, :2], axis=1)
    f = np.bincount(first_two.ravel(), minlength=3) / first_two.size
    close(found.penalty, 0.5 * 3 * np.sum(f * p.mean(0)), 1e-12)


def test_imbalance_is_1_for_equal_use_and_the_number_of_experts_for_one():
    equal, one = np.eye(4)[np.arange(8) % 4][None], np.eye(4)[np.zeros(8, int)][None]
    assert float(imbalance(jnp.asarray(equal), 1, None)) == pytest.approx(1)
    assert float(imbalance(jnp.asarray(one), 1, None)) == pytest.approx(4)
    padded = np.concatenate([equal, one], axis=1)
    assert float(imbalance(jnp.asarray(padded), 1, jnp.arange(16) < 8)) == pytest.approx(1)


def test_ties_go_to_the_first_experts():
    assert np.array_equal(chosen(jnp.full((1, 4), 0.25), 2), [[True, True, False, False]])


def test_both_paths_are_the_same_function_and_penalty():
    model = MODEL.replace(layers=2)
    params, inputs = parameters(model), tokens(12)
    answer, full = jax.jit(lambda p: [model.replace(path=path).forward(p, inputs) for path in ("answer", "full")])(
        params
    )
    close(answer.logits, full.logits, 1e-12)
    close(answer.penalty, full.penalty, 1e-12)


def test_the_penalty_joins_what_is_trained_and_is_recorded():
    task = gd.ModularArithmetic(p=5, train_fraction=0.6)
    model = gd.Transformer(d_model=4, heads=2, d_mlp=6, experts=3, load_balance=2.0)
    experiment = cases.tiny(task=task, model=model, loss=gd.CrossEntropy(precision="float64"), dtype="float64")
    run = taken_apart(experiment, padding=3)
    terms, gradient, _ = jax.jit(
        lambda lane, rows, state: full_gradient(run.program, lane, rows, state.step)(state.params)
    )(run.lane, run.rows, run.state)
    n = int(run.lane.split.n_train)
    x, y = np.asarray(run.rows.inputs)[:n], np.asarray(run.rows.labels)[:n]

    def whole(params):
        found = model.forward(params, x)
        loss = -jnp.mean(jax.nn.log_softmax(found.logits)[jnp.arange(n), y])
        return loss + found.penalty, loss

    (value, loss), exact = jax.jit(jax.value_and_grad(whole, has_aux=True))(run.state.params)
    close(np.sum(terms), value, 1e-12)
    for name in exact:
        close(gradient[name], exact[name], 1e-10)
    ds = gd.run(experiment, progress=False)
    assert float(ds.train_loss[0]) == pytest.approx(float(loss), rel=1e-12)
    assert float(ds.penalty[0]) == pytest.approx(float(value - loss), rel=1e-12)
