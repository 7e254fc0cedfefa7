"""Interventions: another loss or optimizer from a step on, a forced collapse; each record shows what is in force."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from tests.cases import tiny
from tests.contract import arrays

AT, STEPS = 6, 12
ADAMW, SGD = gd.AdamW(learning_rate=0.03), gd.SGD(learning_rate=0.5, momentum=0.9)


def run(**changes):
    """Return a float64 run, so that programs that differ agree to far more than any effect."""
    probes = (gd.Loss(), gd.WeightNorm(), gd.UpdateNorm())
    base = tiny(steps=STEPS, record=gd.Every(1), probes=probes, dtype="float64", optimizer=ADAMW)
    return gd.run(base.replace(**changes))


@pytest.fixture(scope="module")
def plain():
    return run()


def assert_same(found, expected, steps, name="train_loss"):
    np.testing.assert_allclose(found[name].sel(step=steps), expected[name].sel(step=steps), rtol=1e-12)


def test_an_optimizer_takes_over_at_its_step_and_starts_afresh(plain):
    found = run(optimizer=gd.SwitchOptimizer(first=ADAMW, then=SGD, at=AT))
    assert_same(found, plain, range(AT + 1))
    assert_same(found, plain, range(AT), "update_norm")
    assert not np.isclose(found.update_norm.sel(step=AT), plain.update_norm.sel(step=AT), rtol=1e-3)
    # The first momentum is the first gradient: no memory of the steps before.
    only = run(optimizer=gd.SwitchOptimizer(first=SGD, then=ADAMW, at=0))
    assert_same(only, plain, range(STEPS + 1))


def test_a_fresh_start_is_that_of_the_parameters_and_the_clock_at_the_switch():
    """The second optimizer's schedule counts from the switch, and its state is made from the weights then."""
    warm = gd.SGD(learning_rate=1.0, schedule=gd.Warmup(steps=4.0))
    with jax.enable_x64(True):
        transform = arrays(gd.SwitchOptimizer(first=gd.SGD(learning_rate=1.0), then=warm, at=2)).transform()
        w, sizes = jnp.ones(3), []
        state = transform.init(w)
        for _ in range(5):
            update, state = transform.update(jnp.ones(3), state, w)
            sizes.append(-float(update[0]))
    assert sizes == [1.0, 1.0, 0.0, 0.25, 0.5]


def test_a_loss_takes_over_at_its_step_and_records_show_it(plain):
    found = run(loss=gd.SwitchLoss(first=gd.CrossEntropy(precision="float64"), then=gd.MSE(), at=AT))
    wide = run(loss=gd.CrossEntropy(precision="float64"))
    assert_same(found, wide, range(AT))
    assert_same(found, wide, range(AT + 1), "weight_norm")
    assert abs(float(found.train_loss.sel(step=AT)) - 1 / 7) < 0.05, "the squared error of small logits"
    assert not np.isclose(found.weight_norm.sel(step=AT + 1), wide.weight_norm.sel(step=AT + 1), rtol=1e-6)
    assert_same(run(loss=gd.SwitchLoss(first=gd.MSE(), then=gd.CrossEntropy(), at=0)), plain, range(STEPS + 1))


def test_interventions_nest():
    nested = gd.SwitchLoss(
        first=gd.SwitchLoss(first=gd.CrossEntropy(precision="float64"), then=gd.StableMaxCrossEntropy(), at=2),
        then=gd.ForcedCollapse(inner=gd.MSE(), at=8),
        at=5,
    )
    with jax.enable_x64(True):
        z, y = np.random.default_rng(0).normal(size=(4, 5)), np.arange(4)
        in_force = jax.jit(jax.value_and_grad(lambda z, step: nested.in_force(step).rows(z, y).sum()))
        parts = {0: gd.CrossEntropy(precision="float64"), 2: gd.StableMaxCrossEntropy(), 5: gd.MSE(), 9: gd.MSE()}
        for step, part in parts.items():
            found, slope = in_force(z, np.int32(step))
            expected, exact = jax.jit(jax.value_and_grad(lambda z, part=part: part.rows(z, y).sum()))(z)
            np.testing.assert_allclose(found, expected, rtol=1e-14)
            exact = np.array(exact)
            exact[np.arange(4), y] *= 0 if step == 9 else 1
            np.testing.assert_allclose(slope, exact, rtol=1e-12, atol=1e-15)


def test_forced_collapse_silences_correct_logits_alone(plain):
    forced = gd.ForcedCollapse(inner=gd.CrossEntropy(), at=AT)
    found = run(loss=forced)
    assert_same(found, plain, range(AT + 1))
    assert not np.isclose(found.train_loss.sel(step=AT + 1), plain.train_loss.sel(step=AT + 1), rtol=1e-4)
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(6, 5)).astype("float32"), rng.integers(0, 5, 6).astype("int32")
    slopes = jax.jit(jax.grad(lambda z, step: forced.in_force(step).rows(z, y).sum()))
    plainly = jax.jit(jax.grad(lambda z: gd.CrossEntropy().rows(z, y).sum()))
    for step in (AT - 1, AT, AT + 1):
        slope, free = slopes(z, step), np.array(plainly(z))
        if step >= AT:
            free[np.arange(6), y] = 0
        assert np.array_equal(slope, free)


@pytest.mark.slow
def test_steps_of_switches_are_numbers_of_a_sweep():
    """Runs that switch at different steps, or never, share a program; lanes do not see each other's branch."""
    loss = gd.SwitchLoss(first=gd.CrossEntropy(precision="float16"), then=gd.StableMaxCrossEntropy(), at=AT)
    optimizer = gd.SwitchOptimizer(first=ADAMW, then=gd.PerpGrad(inner=ADAMW), at=3)
    base = tiny(steps=STEPS, record=gd.Every(3), loss=loss, optimizer=optimizer)
    sweep = gd.Sweep(base, {"loss.at": [0, 6, 100], "optimizer.at": [0, 3]})
    assert gd.Sweep.from_toml(sweep.to_toml()) == sweep
    found = gd.run(sweep)
    assert np.all(found.status == 0)
    for i, at in enumerate((0, 6, 100)):
        alone = gd.run(base.replace(**{"loss.at": at}))
        np.testing.assert_allclose(found.train_loss.values[i, 1], alone.train_loss, rtol=1e-4)


def test_a_vmapped_switch_keeps_the_other_branchs_nan_out():
    """float16 overflows at these logits; lanes on the other branch must not notice."""
    loss = gd.SwitchLoss(first=gd.CrossEntropy(precision="float16"), then=gd.CrossEntropy(), at=1)
    z, y = jnp.asarray([[1e5, 0.0], [0.0, 1e5]], jnp.float32), jnp.zeros(2, jnp.int32)

    def slope(step):
        return jax.grad(lambda z: loss.in_force(step).rows(z, y).mean())(z)

    early, late = jax.jit(jax.vmap(slope))(np.arange(2))
    assert not np.all(np.isfinite(early))
    np.testing.assert_allclose(late, [[0, 0], [-0.5, 0.5]])


@pytest.mark.slow
def test_dropout_changes_training_alone():
    """Every update drops anew; a record is free of it, and a share of 0 is no dropout."""
    model = gd.Encoder(d_model=8, heads=2, ff=16)
    base = tiny(model=model, steps=4, record=gd.Every(1), probes=(gd.Loss(), gd.GradientNorm(), gd.WeightNorm()))
    found = gd.run(gd.Sweep(base, {"model.dropout": [0.0, 0.5], "seeds.batch": [0, 1]}))
    first = found.isel(step=0)
    for name in ("train_loss", "gradient_norm"):
        assert len(set(first[name].values.ravel().tolist())) == 1, "dropout is off where a network is measured"
    plain = gd.run(base)
    np.testing.assert_allclose(found.train_loss[0], np.stack([plain.train_loss] * 2), rtol=1e-6)
    dropped = found.train_loss.values[1]
    assert np.all(dropped[:, 1] != plain.train_loss.values[1])
    assert np.all(dropped[0, 1:] != dropped[1, 1:]), "the batch stream decides what is dropped"
