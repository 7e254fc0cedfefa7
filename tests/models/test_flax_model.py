"""A network written in Flax trains as Flax and optax train it; what does not fit is told in one line."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

import grokdyn as gd
from grokdyn.spec.identity import own_code

TASK = gd.ModularArithmetic(p=7, train_fraction=0.5)
RATE, STEPS = 0.1, 50


class Network(nn.Module):
    classes: int
    share: float
    training: bool

    @nn.compact
    def __call__(self, x):
        hidden = nn.relu(nn.Dense(16)(nn.Embed(7, 8)(x).reshape(len(x), -1)))
        self.sow("intermediates", "hidden_0", hidden)
        return nn.Dense(self.classes)(nn.Dropout(self.share, deterministic=not self.training)(hidden))


class Embedded(gd.FlaxModel):
    """A hidden layer over embeddings."""

    def module(self, training):
        return Network(7, 0.0, training)


class Dropped(gd.FlaxModel):
    """The same with half of the hidden layer dropped in training."""

    draws = True

    def module(self, training):
        return Network(7, 0.5, training)


class Carrying(gd.FlaxModel):
    """Batch norm keeps running statistics."""

    def module(self, training):
        return nn.Sequential([nn.Embed(7, 8), nn.BatchNorm(use_running_average=not training)])


def experiment(model):
    return gd.Experiment(
        task=TASK,
        model=model,
        loss=gd.CrossEntropy(precision="float64"),
        optimizer=gd.SGD(learning_rate=RATE, momentum=0.9),
        steps=STEPS,
        record=gd.Every(STEPS),
        snapshots=(0, STEPS),
        probes=("loss",),
        dtype="float64",
    )


def test_training_is_that_of_flax_and_optax(tmp_path, x64):
    given = np.arange(20)
    ds = gd.run(experiment(Embedded()), out=tmp_path / "store", start=gd.Start(train_rows=given))
    first, last = (gd.params(tmp_path / "store", step=step) for step in (0, STEPS))
    table = TASK.table()
    inputs, labels = jnp.asarray(table.inputs), jnp.asarray(table.labels)
    network = Network(7, 0.0, False)
    params = {"params": {}}
    for path, value in first.items():
        layer, name = path.split(".")
        params["params"].setdefault(layer, {})[name] = jnp.asarray(value)
    rule = optax.sgd(RATE, momentum=0.9)
    memory = rule.init(params)

    def loss(params, rows):
        logits = network.apply(params, inputs[rows])
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels[rows]).mean()

    @jax.jit
    def update(params, memory):
        change, memory = rule.update(jax.grad(loss)(params, given), memory, params)
        return optax.apply_updates(params, change), memory

    for _ in range(STEPS):
        params, memory = update(params, memory)
    for path, value in last.items():
        layer, name = path.split(".")
        np.testing.assert_allclose(value, params["params"][layer][name], rtol=0, atol=1e-10)
    np.testing.assert_allclose(ds.train_loss.values.ravel()[-1], loss(params, given), atol=1e-10)


def test_what_a_module_sows_is_seen_by_probes_and_dropout_is_off_in_measurement(x64):
    model, plain = Dropped(), Embedded()
    params = plain.start(jax.random.key(0), TASK.signature(), "float64")
    rows = jnp.asarray(TASK.table().inputs)
    measured, trained = model.forward(params, rows), model.forward(params, rows, jax.random.key(1))
    np.testing.assert_array_equal(measured.logits, plain.forward(params, rows).logits)
    assert measured.activations["hidden_0"].shape == (49, 16)
    assert np.any(measured.logits != trained.logits)


def test_the_code_of_a_module_is_part_of_the_program():
    def fresh(width):
        class Own(nn.Module):
            @nn.compact
            def __call__(self, x):
                return nn.Dense(7)(nn.Dense(width)(nn.Embed(7, 8)(x).reshape(len(x), -1)))

        class Mine(gd.FlaxModel):
            def module(self, training):
                return Own()

        return own_code(Mine(), here=False)

    assert fresh(8) == fresh(8)
    assert fresh(8) != fresh(9)


def test_a_state_of_a_module_is_refused_with_where_it_belongs():
    with pytest.raises(gd.SpecError, match=r"Carrying.module: batch_stats; allowed: parameters alone"):
        gd.run(experiment(Carrying()))
