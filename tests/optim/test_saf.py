"""SAF against a slow transcription that keeps a dictionary of what was said of every row."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.train.step import update
from tests import cases
from tests.train.lanes import taken_apart

pytestmark = pytest.mark.usefixtures("x64")
RATE, WEIGHT, T, EPOCHS, START = 0.3, 0.7, 2.0, 2, 3
EXPERIMENT = cases.tiny(
    task=gd.ModularArithmetic(p=4, train_fraction=0.75),
    model=gd.MLP(hidden=(5,), activation="tanh"),
    dtype="float64",
    loss=gd.CrossEntropy(precision="float64"),
    steps=14,
)


def saf(inner, **changes):
    return gd.SAF(inner=inner, weight=WEIGHT, temperature=T, epochs=EPOCHS, epoch=3, start=START, **changes)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


class Transcribed:
    """The gradient written down, for x of two one-hot codes, and the logits of rows by epoch."""

    def __init__(self, run):
        tokens, self.y = np.asarray(run.table.inputs), np.asarray(run.lane.split.labels)
        self.x = np.concatenate([np.eye(4)[tokens[:, 0]], np.eye(4)[tokens[:, 1]]], axis=1)
        self.said = {}

    def logits(self, w, rows):
        return np.tanh(self.x[rows] @ w["W_0"]) @ w["W_1"]

    def gradient(self, w, rows, epoch):
        hidden = np.tanh(self.x[rows] @ w["W_0"])
        z = hidden @ w["W_1"]
        outer = softmax(z) - np.eye(4)[self.y[rows]]
        for i, row in enumerate(rows):
            past = self.said.get((epoch - EPOCHS, row)) if epoch >= START else None
            if past is not None:
                outer[i] += WEIGHT * T * (softmax(z[i] / T) - softmax(past / T))
        outer /= len(rows)
        back = (outer @ w["W_1"].T) * (1 - hidden**2)
        return {"W_0": self.x[rows].T @ back, "W_1": hidden.T @ outer}

    def keep(self, w, rows, epoch):
        self.said |= {(epoch, row): z for row, z in zip(rows, self.logits(w, rows), strict=True)}


@pytest.mark.parametrize("batch", [None, 4], ids=["whole", "batches"])
def test_saf_is_its_definition_row_by_row(batch):
    run = taken_apart(EXPERIMENT.replace(optimizer=saf(gd.SGD(learning_rate=RATE)), batch_size=batch), padding=2)
    step = jax.jit(lambda s: update(run.program, run.lane, run.rows, s)[0])
    order, twin, state = np.asarray(run.lane.split.order)[:12], Transcribed(run), run.state
    w = {name: np.asarray(x) for name, x in run.state.params.items()}
    for t in range(14):
        new = step(state)
        place = 4 * (t % 3)
        rows = order if batch is None else order[np.asarray(new.order)[place : place + 4]]
        g = twin.gradient(w, rows, t // 3)
        twin.keep(w, rows, t // 3)
        w = {name: x - RATE * g[name] for name, x in w.items()}
        state = new
        for name, x in w.items():
            np.testing.assert_allclose(state.params[name], x, rtol=0, atol=1e-10, err_msg=f"{name} at {t}")


def test_sam_in_saf_climbs_along_what_saf_sees():
    rho = 0.2
    inner = gd.SAM(inner=gd.SGD(learning_rate=RATE), rho=rho)
    run = taken_apart(EXPERIMENT.replace(optimizer=saf(inner)))
    step = jax.jit(lambda s: update(run.program, run.lane, run.rows, s)[0])
    rows, twin, state = np.asarray(run.lane.split.order)[:12], Transcribed(run), run.state
    w = {name: np.asarray(x) for name, x in run.state.params.items()}
    for t in range(14):
        g = twin.gradient(w, rows, t // 3)
        norm = np.sqrt(sum(np.sum(x**2) for x in g.values()))
        g = twin.gradient({name: x + rho * g[name] / norm for name, x in w.items()}, rows, t // 3)
        twin.keep(w, rows, t // 3)
        w, state = {name: x - RATE * g[name] for name, x in w.items()}, step(state)
    for name, x in w.items():
        np.testing.assert_allclose(state.params[name], x, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"optimizer": gd.SAM(inner=gd.SAF(inner=gd.SGD()))},
            "optimizer.inner: got saf inside; allowed: saf around it",
        ),
        ({"optimizer": gd.NormConstraint(inner=gd.SAF(inner=gd.SGD()))}, "got saf inside of another optimizer"),
        (
            {"optimizer": gd.SAF(inner=gd.Winsorised(inner=gd.SGD()))},
            "optimizer.inner: got winsorised inside; allowed: an optimizer that reads no single rows",
        ),
        ({"transforms": (gd.RedrawnLabels(),)}, "rows that are fresh or transformed"),
        ({"task": gd.LinearTeacher(dimension=3, points=12), "loss": gd.MSE()}, "real targets"),
    ],
)
def test_where_saf_does_not_fit_is_told(changes, said):
    experiment = EXPERIMENT.replace(**({"optimizer": saf(gd.SGD())} | changes))
    with pytest.raises(gd.SpecError, match=said):
        gd.run(experiment, progress=False)


def test_gradients_of_an_update_with_a_term_in_tiles_are_those_of_all_rows_at_once():
    run = taken_apart(EXPERIMENT.replace(optimizer=saf(gd.SGD(learning_rate=RATE))), padding=0)
    tiled = run._replace(program=run.program._replace(tile=5, rows=run.program.rows))
    rows = jax.tree.map(lambda x: jnp.concatenate([x, x[:3]]), run.rows)
    rows = rows._replace(counts=jnp.arange(15) < 12)
    states = []
    for one, seen in ((run, run.rows), (tiled._replace(program=tiled.program._replace(rows=15, padded=True)), rows)):
        step, state = jax.jit(lambda s, one=one, seen=seen: update(one.program, one.lane, seen, s)[0]), run.state
        for _ in range(11):
            state = step(state)
        states.append(state)
    for a, b in zip(*(jax.tree.leaves(s.params) for s in states), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)
