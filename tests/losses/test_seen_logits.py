"""Losses of changed logits: values and gradients against what the changes say, in float64 numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd

pytestmark = pytest.mark.usefixtures("x64")
RNG = np.random.default_rng(0)
Z, Y = 4 * RNG.normal(size=(20, 7)) + 3, RNG.integers(0, 7, 20)
EXACT = gd.CrossEntropy(precision="float64")


def rows(loss, z=Z):
    return np.asarray(jax.jit(loss.rows)(z, Y))


def gradient(loss, z=Z):
    return np.asarray(jax.jit(jax.grad(lambda z: jnp.sum(loss.rows(z, Y))))(z))


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def test_a_held_scale_is_a_temperature_of_every_row_that_is_not_differentiated():
    loss, times = gd.HeldLogitScale(inner=EXACT, scale=2.5), 2.5 / Z.std(1, keepdims=True)
    np.testing.assert_allclose(rows(loss), rows(EXACT, times * Z), rtol=1e-12)
    np.testing.assert_allclose(gradient(loss), times * (softmax(times * Z) - np.eye(7)[Y]), rtol=1e-9, atol=1e-14)


def test_a_held_scale_knows_nothing_of_the_scale_of_the_logits():
    loss = gd.HeldLogitScale(inner=EXACT, scale=2.5)
    np.testing.assert_allclose(rows(loss, 1e3 * Z), rows(loss), rtol=1e-12)
    np.testing.assert_allclose(1e3 * gradient(loss, 1e3 * Z), gradient(loss), rtol=1e-9, atol=1e-14)


def test_rows_of_equal_logits_keep_them():
    flat = np.full((20, 7), 3.0)
    np.testing.assert_allclose(rows(gd.HeldLogitScale(inner=EXACT), flat), np.log(7))
    assert np.isfinite(gradient(gd.HeldLogitScale(inner=EXACT), flat)).all()


@pytest.mark.parametrize("inner", [gd.MSE(), gd.CrossEntropy()])
def test_zero_sum_takes_the_mean_over_classes_out_of_the_gradient_only(inner):
    loss, z = gd.ZeroSum(inner=inner), 6 * Z.astype(np.float32)
    np.testing.assert_array_equal(rows(loss, z), rows(inner, z))
    plain = gradient(inner, z)
    np.testing.assert_allclose(gradient(loss, z), plain - plain.mean(1, keepdims=True), rtol=1e-4, atol=1e-7)


def test_the_inner_loss_may_depend_on_the_step():
    switch = gd.SwitchLoss(first=gd.MSE(), then=EXACT, at=3)
    for step, at_once in ((0, gd.MSE()), (3, EXACT)):
        found = rows(gd.HeldLogitScale(inner=switch, scale=2.0).in_force(step))
        np.testing.assert_allclose(found, rows(gd.HeldLogitScale(inner=at_once, scale=2.0)), rtol=1e-12)


@pytest.mark.as_users
def test_the_share_that_has_collapsed_is_that_of_the_logits_that_the_loss_sees():
    held = gd.HeldLogitScale(inner=gd.CrossEntropy(), scale=1e3)
    plain, z = gd.CrossEntropy(), Z.astype(np.float32)
    seen, own = jax.jit(lambda z: (held.sum_of_exponentials(z), plain.sum_of_exponentials(z)))(z)
    assert (np.asarray(seen) == 1).mean() > 0.9
    assert (np.asarray(own) > 1).all()
