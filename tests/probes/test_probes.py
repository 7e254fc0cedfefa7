"""Probes, and the training under them, against a run in plain numpy."""

from functools import cache
from itertools import chain
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.engine.store.results import STATUS
from grokdyn.losses.base import of_rows
from grokdyn.probes.base import Probe, Shapes, Variable
from grokdyn.probes.view import View, largest, mean, means
from grokdyn.spec import base
from grokdyn.tasks.split import Split
from grokdyn.train.step import record
from tests import cases
from tests.probes.loops import Loop
from tests.train.lanes import outlined

P, STEPS = 5, 6
PROBES = (
    gd.Loss(),
    gd.Accuracy(),
    gd.WeightNorm(),
    gd.GradientNorm(),
    gd.UpdateNorm(),
    gd.DistanceFromInit(),
    gd.Logits(),
)
EXPERIMENT = gd.Experiment(
    task=gd.ModularArithmetic(op="mul", p=P),
    model=gd.MLP(hidden=(6,), activation="square", bias=True),
    loss=gd.CrossEntropy(precision="float64"),
    optimizer=gd.SGD(learning_rate=0.5, momentum=0.8),
    steps=STEPS,
    record=gd.Every(1),
    probes=PROBES,
    dtype="float64",
)


ATTENTION = gd.Encoder(d_model=4, heads=2, ff=8)


@pytest.fixture(scope="module")
def both():
    """Return the Dataset of a run and the records of the same run in numpy."""
    rng = np.random.default_rng(0)
    table = EXPERIMENT.task.table()
    train = rng.permutation(P * P)[:14]
    labels = table.labels[train].copy()
    labels[:4] = (labels[:4] + 1 + rng.integers(0, P - 1, 4)) % P
    shapes = {"W_0": (2 * P, 6), "b_0": (6,), "W_1": (6, P), "b_1": (P,)}
    params = {name: rng.normal(scale=0.7, size=shape) for name, shape in shapes.items()}
    found = gd.run(EXPERIMENT, start=gd.Start(params=params, train_rows=train, train_labels=labels))
    x = np.concatenate([np.eye(P)[table.inputs[:, 0]], np.eye(P)[table.inputs[:, 1]]], axis=1)
    loop, records = Loop(x, table.labels, train, labels, params, 0.5, 0.8), []
    for _ in range(STEPS + 1):
        records.append(loop.record())
        loop.advance()
    return found, {name: np.stack([r[name] for r in records]) for name in records[0]}


def test_every_variable_has_a_twin(both):
    found, twin = both
    assert set(found.data_vars) == {*twin, *STATUS}
    assert found.tensor.values.tolist() == ["W_0", "W_1", "b_0", "b_1"]
    assert found.step.values.tolist() == list(range(STEPS + 1))


@pytest.mark.parametrize(
    "name",
    [
        *(f"{part}_{what}" for part in ("train", "test") for what in ("loss", "accuracy", "logit_norm", "margin")),
        *(f"{what}_accuracy" for what in ("clean_rows", "corrupted_rows", "recovered")),
        *(f"{what}_norm{rest}" for what in ("weight", "gradient", "update") for rest in ("", "_per_tensor")),
        *(f"distance_from_init{rest}" for rest in ("", "_per_tensor")),
    ],
)
def test_a_variable_is_that_of_numpy_at_every_step(both, name):
    found, twin = both
    assert np.ptp(twin[name]) > 0, "a variable that never changes shows nothing"
    # Seven steps of float64 arithmetic on numbers of order 1.
    np.testing.assert_allclose(found[name], twin[name], rtol=1e-11, atol=1e-13)


# Of the network with a twin, and of one with attention.
PLAIN, ATTENTIVE = (
    EXPERIMENT.replace(**{"task.train_fraction": 0.6, "task.label_noise": 0.3, "task.op": "sub"}, model=model)
    for model in (EXPERIMENT.model, ATTENTION)
)
outline = cache(outlined)


def home_of(probe):
    """Return an experiment that the probe fits."""
    if type(probe) in cases.HOMES:
        return EXPERIMENT.replace(probes=(gd.Loss(),), **cases.HOMES[type(probe)])
    return ATTENTIVE if cases.with_attention(probe) else PLAIN


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("probe", cases.cases("probe"))
def test_a_probe_measures_the_variables_it_names(probe):
    experiment, run = home_of(probe), outline(home_of(probe))
    numbers = run.lane.experiment.replace(probes=(probe,))
    lane = run.lane.replace(experiment=numbers, initial_params=run.state.params)
    experiment = base.check(experiment.replace(probes=(probe,)))
    shapes = Shapes(run.state.params, run.program.signature, run.program.noisy, experiment, (10, 12), experiment)
    variables = probe.variables(shapes)
    rows = None if experiment.task.endless else run.rows
    measured = jax.eval_shape(lambda *a: record(run.program, *a), lane, rows, run.state, run.table)
    assert measured.keys() == variables.keys()
    for name, variable in variables.items():
        assert measured[name].shape == tuple(len(variable.coordinates[dim]) for dim in variable.dims)
        assert variable.long_name
    assert not list(probe.conflicts(shapes))


@pytest.mark.usefixtures("x64")
def test_names_of_variables_are_those_of_one_probe():
    kinds = {type(probe): probe for probe in cases.PROBES}
    names = []
    for probe in kinds.values():
        run = outline(home_of(probe))
        experiment = base.check(home_of(probe))
        names += probe.variables(Shapes(run.state.params, run.program.signature, True, experiment))
    assert len(names) == len(set(names))


class Numbered(Probe):
    """A probe of a user's own that counts tensors where others name them."""

    def variables(self, shapes):
        return {"numbered": Variable("values", dims=("tensor",), coordinates={"tensor": np.arange(3)})}

    def measure(self, view):
        return {"numbered": jax.numpy.zeros(3)}


def test_an_axis_has_names_or_numbers_not_both():
    with pytest.raises(
        gd.SpecError, match=r"probes\[1\]: got a dimension tensor of numbers; allowed: names, as probes\[0\]"
    ):
        gd.run(EXPERIMENT.replace(probes=(gd.WeightNorm(), Numbered())))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("answers", "partial"), [(1, False), (3, False), (3, True)])
def test_of_several_answers_all_have_to_be_right_and_losses_are_their_mean(answers, partial):
    """Row by row in numpy, with ties, corrupted labels, rows that train or test, and rows that ask for fewer."""
    rng = np.random.default_rng(answers)
    several = (40, answers) if answers > 1 else (40,)
    logits, clean = rng.integers(0, 3, (*several, 3)).astype(float), rng.integers(0, 3, several)
    labels, corrupted = clean.copy(), np.zeros(40, bool)
    order = rng.permutation(40)
    corrupted[order[:8]] = True
    labels.reshape(40, -1)[corrupted, 0] = rng.integers(0, 3, 8)
    asked = np.ones(several, bool)
    if partial:
        asked[:20, 0], asked[:10, 1] = False, False
        labels[~asked], clean[~asked] = -1, -1
    view = object.__new__(View)
    task = SimpleNamespace(signature=lambda: gd.Signature(gd.Vectors(1), gd.Classes(3, 0, answers, partial), rows=40))
    view.experiment = SimpleNamespace(loss=gd.CrossEntropy(precision="float64"), task=task, model=gd.MLP())
    view.step, view.noisy = 0, True
    view.clean_labels = jax.numpy.asarray(clean)
    view.split = Split(jax.numpy.asarray(order), jax.numpy.int32(25), jax.numpy.asarray(labels), corrupted)
    view.by_row = (logits, of_rows(view.loss, jax.numpy.asarray(logits), view.labels, view.targets), largest(logits))
    found = gd.Accuracy().measure(view) | gd.Loss().measure(view) | gd.TokenAccuracy().measure(view)

    def right(row, of):
        return all(each(row, of))

    def each(row, of):
        pairs = zip(logits[row].reshape(-1, 3), np.ravel(of[row]), strict=True)
        return [list(z).index(max(z)) == y for z, y in pairs if y >= 0]

    def loss(row):
        pairs = zip(logits[row].reshape(-1, 3), np.ravel(labels[row]), strict=True)
        return np.mean([np.log(np.sum(np.exp(z))) - z[y] for z, y in pairs if y >= 0])

    train, test = order[:25], order[25:]
    untouched = [row for row in train if not corrupted[row]]
    expected = {
        "train_accuracy": np.mean([right(row, labels) for row in train]),
        "test_accuracy": np.mean([right(row, clean) for row in test]),
        "clean_rows_accuracy": np.mean([right(row, clean) for row in untouched]),
        "corrupted_rows_accuracy": np.mean([right(row, labels) for row in order[:8]]),
        "recovered_accuracy": np.mean([right(row, clean) for row in order[:8]]),
        "train_loss": np.mean([loss(row) for row in train]),
        "test_loss": np.mean([loss(row) for row in test]),
        "train_token_accuracy": np.mean(list(chain(*(each(row, labels) for row in train)))),
        "test_token_accuracy": np.mean(list(chain(*(each(row, clean) for row in test)))),
    }
    last = found.pop("train_answer_accuracy"), found.pop("test_answer_accuracy")
    for rows, value in zip((train, test), last, strict=True):
        hits = [list(logits.reshape(40, -1, 3)[row, -1]) for row in rows]
        right_ones = [z.index(max(z)) == np.ravel(labels[row])[-1] for z, row in zip(hits, rows, strict=True)]
        np.testing.assert_allclose(value[-1], np.mean(right_ones), rtol=1e-12)
        assert value.shape == (answers,)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-12, err_msg=name)


@pytest.mark.usefixtures("x64")
def test_a_mean_over_no_rows_is_nan_and_marks_nothing_else():
    values = jax.numpy.asarray([1.0, np.nan, 4.0])
    assert np.isnan(mean(values, np.array([False, False, False])))
    assert mean(values, np.array([True, False, True])) == 2.5


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("seed", range(3))
def test_means_over_parts_are_those_of_every_part(seed):
    """An empty part among them, and losses that are not finite in rows of another."""
    rng, rows = np.random.default_rng(seed), 60
    values = rng.normal(size=rows).astype("float32")
    values[rng.random(rows) < 0.1] = np.inf
    parts = {"train": rng.random(rows) < 0.5, "test": np.isfinite(values), "no": np.zeros(rows, bool)}
    found = means(jax.numpy.asarray(values), parts)
    assert found.keys() == parts.keys()
    for name, marked in parts.items():
        expected = np.mean(values[marked].astype("float64")) if marked.any() else np.nan
        np.testing.assert_allclose(found[name], expected, rtol=1e-12, atol=1e-14, err_msg=name)


def test_without_corrupted_labels_there_are_no_variables_about_them():
    shapes = Shapes({}, EXPERIMENT.task.signature(), False, EXPERIMENT)
    assert set(gd.Accuracy().variables(shapes)) == {"train_accuracy", "test_accuracy"}
