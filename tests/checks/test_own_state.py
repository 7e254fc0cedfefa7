"""A model of a user's own that carries a state and adds a penalty: trained, stored, run on; or told what is amiss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from tests import cases
from tests.train.lanes import taken_apart


class Whitened(gd.Model):
    """logits = (h - mean of the batch) U, h the sum of embeddings, measured by a running mean; penalty on E."""

    strength: float = gd.field(gd.Number(0), default=0.1, doc="of the penalty")

    takes_mode = True
    penalised = True
    rows_interact = True

    def initial(self, key, signature, dtype):
        shapes = {"E": (signature.inputs.vocabulary, 5), "U": (5, signature.outputs)}
        keys = jax.random.split(key, 2)
        return {name: gd.draws.normal(k, s, dtype) for k, (name, s) in zip(keys, shapes.items(), strict=True)}

    def initial_state(self, signature, dtype):
        return {"mean": jnp.zeros(5, dtype)}

    def apply(self, params, inputs, mode):
        h, running = params["E"][inputs].sum(1), mode.state["mean"]
        penalty = self.strength * jnp.sum(params["E"] ** 2)
        if not mode.training:
            return gd.Output((h - running) @ params["U"], {}, penalty=penalty)
        mean = jnp.mean(h, axis=0, where=True if mode.counts is None else mode.counts[:, None])
        return gd.Output((h - mean) @ params["U"], {}, {"mean": 0.5 * running + 0.5 * mean}, penalty)


EXPERIMENT = cases.tiny(
    task=gd.ModularArithmetic(p=5, train_fraction=0.6),
    model=Whitened(),
    optimizer=gd.SGD(learning_rate=0.1),
    loss=gd.CrossEntropy(precision="float64"),
    dtype="float64",
    steps=6,
    record=gd.Every(2),
    snapshots=(2, 6),
)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "store"
    return gd.run(EXPERIMENT, out=path, progress=False), path


def test_it_trains_as_written_by_hand(stored):
    ds, path = stored
    with jax.enable_x64(True):
        key = jax.random.fold_in(jax.random.key(0), 0)
        params = jax.jit(lambda key: Whitened().start(key, EXPERIMENT.task.signature(), "float64"))(key)
        rows = taken_apart(EXPERIMENT).rows
        n = int(rows.counts.sum())
        x, y, mean = rows.inputs[:n], rows.labels[:n], jnp.zeros(5)

        def loss(params, centre=None):
            h = params["E"][x].sum(1)
            logits = (h - (h.mean(0) if centre is None else centre)) @ params["U"]
            fit = -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(n), y])
            return fit + (0.1 * jnp.sum(params["E"] ** 2) if centre is None else 0)

        @jax.jit
        def step(params, mean):
            after = jax.tree.map(lambda w, g: w - 0.1 * g, params, jax.grad(loss)(params))
            return loss(params, mean), after, 0.5 * mean + 0.5 * params["E"][x].sum(1).mean(0)

        losses, reached = [], [(params, mean)]
        for _ in range(7):
            value, *after = step(*reached[-1])
            losses.append(float(value))
            reached.append(after)
        params, mean = reached[6]
    np.testing.assert_allclose(ds.train_loss, losses[::2], rtol=1e-12)
    found = gd.params(path)
    for name, value in {**params, "mean": mean}.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-11)
    np.testing.assert_allclose(ds.penalty[-1], 0.1 * np.sum(found["E"] ** 2), rtol=1e-12)


def test_what_it_carries_goes_on_from_a_snapshot(stored, tmp_path):
    ds, path = stored
    forked = gd.fork(path, 0, 2, {}, out=tmp_path / "fork", progress=False)
    for name in ("train_loss", "test_loss", "penalty"):
        np.testing.assert_array_equal(forked[name], ds[name].sel(step=slice(2, None)))
    begun = gd.run(EXPERIMENT, start=gd.Start(params=gd.params(path, step=2)), progress=False)
    np.testing.assert_array_equal(begun.test_loss[0], ds.test_loss.sel(step=2))
    with pytest.raises(gd.SpecError, match="with them all or none of mean"):
        gd.run(EXPERIMENT, start=gd.Start(params={"E": np.zeros((5, 5))}))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("penalised", False, "a penalty; allowed: what its penalised says: False"),
        ("rows_interact", False, "a state of mean; allowed: rows_interact to be true"),
        ("initial_state", lambda self, signature, dtype: {"E": jnp.zeros(5, dtype)}, "names that no parameter has"),
        ("initial_state", lambda self, signature, dtype: {"mean": jnp.zeros(4, dtype)}, "apply"),
    ],
)
def test_what_does_not_fit_is_told(monkeypatch, name, value, words):
    monkeypatch.setattr(Whitened, name, value)
    with pytest.raises(gd.SpecError) as caught:
        gd.run(EXPERIMENT)
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
