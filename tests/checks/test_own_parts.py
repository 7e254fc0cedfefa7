"""A part of a user's own that does not fit is told in one line before anything is compiled or written."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import grokdyn as gd
from grokdyn import checks
from grokdyn.engine.plan import cohorts as plan
from grokdyn.models.output import Output
from grokdyn.spec import base
from grokdyn.tasks.base import Signature, Table
from grokdyn.tasks.signature import Classes, Reals, Tokens, Vectors
from grokdyn.train.compiled import TRACES
from tests import cases

PAIRS = np.stack(np.divmod(np.arange(49), 7), axis=1).astype(np.int32)
SUMS = PAIRS.sum(1)
SIGNATURE = Signature(vocabulary=7, width=2, outputs=7, rows=49)  # the form of earlier versions
VECTORS = replace(SIGNATURE, inputs=Vectors(2))
REAL = replace(VECTORS, targets=Reals(1))


def task(table, signature=SIGNATURE, drawn=False):
    """Return a task of a table, or of whatever stands in its place."""

    class Own(gd.Task):
        """A task of a user's own."""

        def signature(self):
            return signature

        def table(self):
            return table() if callable(table) else table

        def draw(self, key):
            return table(key)

    Own.drawn = drawn
    return Own()


def model(apply, initial=None):
    class Own(gd.Model):
        """logits = E[a] + E[b]."""

        gain: float = gd.field(gd.rules.Number(), default=1.5)

        def initial(self, key, signature, dtype):
            if initial is not None:
                return initial(key)
            return {"E": jax.random.normal(key, (signature.inputs.vocabulary, signature.outputs), dtype)}

        def apply(self, params, inputs):
            return apply(self, params, inputs)

    return Own()


def loss(rows):
    class Own(gd.LossFunction):
        """A loss of a user's own."""

        power: float = gd.field(gd.rules.Number(), default=2.0)

    Own.rows = rows
    return Own()


def optimizer(direction):
    class Own(gd.Optimizer):
        """An optimizer of a user's own."""

        decay_of_matrices: float = gd.field(gd.rules.Number(0), default=0.1)

    Own.direction = direction
    return Own()


def probe(measure, variables=None, **said):
    class Own(gd.Probe):
        """A probe of a user's own."""

        def variables(self, shapes):
            return {"own": gd.Variable("own")} if variables is None else variables

    Own.measure = lambda self, view: measure(view)
    for name, value in said.items():
        setattr(Own, name, value)
    return Own()


def embedded(self, params, inputs):
    return Output(params["E"][inputs].sum(1) * self.gain, {})


def planned(**changes):
    """Return the plan of a tiny experiment with parts changed."""
    return plan.cohorts([base.check(cases.tiny(**changes))], None, jax.local_devices()[:1])


def told(**changes):
    before = dict(TRACES)
    with pytest.raises(gd.SpecError) as caught:
        planned(**changes)
    assert dict(TRACES) == before
    assert "\n" not in str(caught.value)
    return caught.value


BAD_TABLES = [
    (Table(PAIRS, SUMS), SIGNATURE, "Own.table: labels from 0 to 12; allowed: whole numbers from 0 to 6"),
    (Table(PAIRS, SUMS % 7 - 1), SIGNATURE, "labels from -1 to 5"),
    (Table(PAIRS, SUMS % 7 / 2), SIGNATURE, "labels of float64; allowed: whole numbers"),
    (Table(PAIRS, SUMS[:-1] % 7), SIGNATURE, "labels of shape [48]; allowed: [49]"),
    (Table(PAIRS, (SUMS % 7)[:, None]), SIGNATURE, "labels of shape [49, 1]; allowed: [49]"),
    (Table(PAIRS + 1, SUMS % 7), SIGNATURE, "inputs from 1 to 7; allowed: whole numbers from 0 to 6"),
    (Table(PAIRS * 0.5, SUMS % 7), SIGNATURE, "inputs of float64; allowed: whole numbers"),
    (Table(PAIRS[:, :1], SUMS % 7), SIGNATURE, "inputs of shape [49, 1]; allowed: [49, 2]"),
    (Table(np.where(PAIRS == 3, np.nan, PAIRS), SUMS % 7), VECTORS, "not finite, first in row 3"),
    (
        Table(PAIRS, SUMS * 1j),
        REAL,
        "labels of shape [49]; allowed: [49, 1], as its signature's 49 rows and Reals(count=1) say",
    ),
    (Table(PAIRS, SUMS[:, None] * 1j), REAL, "labels of complex128; allowed: real numbers"),
    (
        Table(PAIRS, SUMS % 7),
        replace(SIGNATURE, targets=Classes(7, symbols=3)),
        "labels from 0 to 6; allowed: whole numbers from 0 to 3",
    ),
    (
        Table(PAIRS, SUMS % 7),
        replace(SIGNATURE, inputs=Tokens(7, 2, (None, 3))),
        "inputs[:, 1] that differ; allowed: 3 in every row",
    ),
    (Table(PAIRS, SUMS % 7), replace(SIGNATURE, rows=0), "rows = 0; allowed: a whole number from 1"),
    (Table(PAIRS, SUMS % 7), replace(SIGNATURE, targets=Classes(7.0)), "Classes.count = 7.0; allowed: a whole number"),
    (Table(PAIRS, SUMS % 7), (7, 2, 7, 49), "Own.signature: a tuple; allowed: a Signature"),
    (PAIRS, SIGNATURE, "Own.table: a ndarray; allowed: Table(inputs, labels)"),
    (None, SIGNATURE, "Own.table: a NoneType"),
]


@pytest.mark.parametrize(("table", "signature", "words"), BAD_TABLES)
def test_a_table_that_is_not_its_signatures_is_told(table, signature, words):
    error = told(task=task(table, signature))
    assert error.path == "task"
    assert words in str(error)


@pytest.mark.parametrize(
    "table",
    [
        (PAIRS.astype(np.int64), SUMS % 7),
        [PAIRS.astype(np.uint8), jnp.asarray(SUMS % 7)],
        Table(PAIRS.tolist(), (SUMS % 7).tolist()),
    ],
)
def test_whole_numbers_of_any_kind_are_read(table):
    (cohort,) = planned(task=task(table))
    assert (cohort.table.inputs.dtype, cohort.table.labels.dtype) == (np.int32, np.int32)
    np.testing.assert_array_equal(cohort.table.labels, SUMS % 7)


def test_real_numbers_are_read_in_the_dtype_of_the_run():
    table = Table(PAIRS / 7, SUMS > 6)
    for dtype in ("float32", "float64"):
        (cohort,) = planned(task=task(table, VECTORS), dtype=dtype)
        assert cohort.table.inputs.dtype == dtype


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (lambda key: jax.random.randint(key, (49,), 0, 70), "Own.draw: labels from"),
        (lambda key: jax.random.uniform(key, (49,)), "labels of float"),
        (lambda key: jnp.zeros(48, int), "labels of shape [48]"),
    ],
)
def test_a_drawn_table_that_is_not_its_signatures_is_told(labels, words):
    assert words in str(told(task=task(lambda key: Table(PAIRS, labels(key)), drawn=True)))


def test_a_table_drawn_wrong_by_a_single_run_is_told(monkeypatch):
    """One in ten draws a label out of range: the run that does must not train to a plausible number."""
    monkeypatch.setattr(checks.drawn, "LOOKED_AT", 1)

    def draw(key):
        return Table(PAIRS, jnp.asarray(SUMS % 7).at[0].set(jnp.where(jax.random.uniform(key) < 0.1, 7, 0)))

    experiment = cases.tiny(task=task(draw, drawn=True))
    with pytest.raises(gd.SpecError, match=r"Own.draw: labels from 0 to 7; allowed: whole numbers from 0 to 6"):
        gd.run(gd.Sweep(experiment, {"seed": range(20)}))


BAD_MODELS = [
    (lambda self, params, inputs: params["E"][inputs].sum(1), "Own.apply: an array of float32"),
    (lambda self, params, inputs: Output(params["E"][inputs], {}), "logits of shape [24, 2, 7]; allowed: [24, 7]"),
    (
        lambda self, params, inputs: Output(jnp.eye(7)[inputs].sum(1) @ params["E"], {}),
        "logits of float64; allowed: float32",
    ),
    (lambda self, params, inputs: Output(params["W"][inputs], {}), "KeyError in Own.apply: 'W'"),
    (lambda self, params, inputs: Output(np.tanh(params["E"][inputs].sum(1)), {}), "allowed: jax.numpy on arrays"),
    (
        lambda self, params, inputs: Output(params["E"][inputs].sum(1), {"hidden": None}),
        "activation 'hidden': nothing; allowed: arrays by name",
    ),
    (lambda self, params, inputs: None, "Own.apply: nothing; allowed: Output(logits, activations)"),
    (
        lambda self, params, inputs: Output(
            jax.lax.while_loop(lambda x: x.sum() > 1e9, lambda x: x, params["E"][inputs].sum(1)), {}
        ),
        "ValueError in Own.apply, differentiated",
    ),
]


@pytest.mark.parametrize(("apply", "words"), BAD_MODELS)
def test_a_model_that_gives_something_else_is_told(apply, words):
    error = told(model=model(apply))
    assert error.path == "model"
    assert words in str(error)


@pytest.mark.parametrize(
    ("initial", "words"),
    [
        (lambda key: [jnp.ones(3)], "Own.initial: a list; allowed: a dict of arrays by name"),
        (lambda key: {"E": {"W": jnp.ones(3)}}, "'E': a dict; allowed: arrays by name, in one flat dict"),
        (lambda key: {}, "Own.initial: a dict; allowed: a dict of arrays by name, not empty"),
    ],
)
def test_parameters_that_are_no_arrays_by_name_are_told(initial, words):
    assert words in str(told(model=model(embedded, initial)))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (lambda self, logits, labels: logits.mean(), "Own.rows: an array of float32, shape [] for 24 rows"),
        (lambda self, logits, labels: logits, "shape [24, 7] for 24 rows"),
        (lambda self, logits, labels: labels, "an array of int32"),
        (lambda self, logits, labels: logits[labels > 2], "NonConcreteBooleanIndexError in Own.rows"),
        (lambda self, logits, labels: 0.5 if labels[0] > 2 else logits[:, 0], "no float(), int(), if"),
    ],
)
def test_a_loss_without_a_value_for_every_row_is_told(rows, words):
    error = told(loss=loss(rows))
    assert error.path == "loss"
    assert words in str(error)


@pytest.mark.parametrize(
    ("direction", "words"),
    [
        (lambda self: optax.stateless(lambda u, p: jax.tree.map(jnp.sum, u)), "updates['W_0'] of shape []"),
        (lambda self: optax.stateless(lambda u, p: list(u.values())), "in another tree"),
        (
            lambda self: optax.stateless(lambda u, p: jax.tree.map(lambda x: x * 1j, u)),
            "of complex64; allowed: float32",
        ),
        (lambda self: optax.adam, "in Own.transform"),
        (
            lambda self: optax.GradientTransformation(lambda p: jnp.zeros(1), lambda u, s, p: (u, jnp.zeros(2))),
            "its memory[0] of shape [2]; allowed: [1]",
        ),
        (gd.Optimizer.direction, "got Own without direction; allowed: a class that defines direction"),
    ],
)
def test_an_optimizer_whose_updates_are_no_updates_is_told(direction, words):
    error = told(optimizer=optimizer(direction))
    assert error.path == "optimizer"
    assert words in str(error)


TWO = {"own": gd.Variable("own", dims=("unit",), coordinates={"unit": [0, 1]})}


@pytest.mark.parametrize(
    ("measure", "variables", "words"),
    [
        (lambda view: {"other": 0.0}, None, "Own.measure: other; allowed: what its variables declare: own"),
        (lambda view: {}, None, "Own.measure: nothing; allowed"),
        (lambda view: view.train.sum(), None, "Own.measure: an array of int"),
        (lambda view: {"own": view.logits}, None, "own of shape [49, 7]; allowed: [], a single number"),
        (lambda view: {"own": jnp.ones(3)}, TWO, "own of shape [3]; allowed: [2], its dims unit"),
        (lambda view: {"own": jnp.ones(()) * 1j}, None, "own of complex128; allowed: real numbers"),
        (lambda view: {"own": None}, None, "own: nothing; allowed: an array"),
        (
            lambda view: {"own": view.output.activations["hidden_9"].mean()},
            None,
            "activation 'hidden_9'; allowed: one that MLP gives: hidden_0, pre_0",
        ),
        (
            lambda view: {"own": view.initial_params["W_0"].mean()},
            None,
            "view.initial_params; allowed: initial_params for a probe whose class says needs_initial_params = True",
        ),
        (lambda view: {"own": float(view.train.sum())}, None, "allowed: jax.numpy on arrays whose values"),
        (lambda view: {"own": view.lgoits.mean()}, None, "AttributeError in Own.measure"),
        (lambda view: {"train_loss": 0.0}, {"train_loss": gd.Variable("x")}, "a variable train_loss; allowed: a name"),
        (lambda view: {"sharpness": 0.0}, {"sharpness": gd.Variable("x")}, "other than those of gd.Sharpness"),
        (lambda view: {"status": 0.0}, {"status": gd.Variable("x")}, "'status'; allowed: a name of letters"),
        (lambda view: {"a b": 0.0}, {"a b": gd.Variable("x")}, "'a b'; allowed: a name of letters"),
        (lambda view: {"own": 0.0}, {"own": "x"}, "own: a str; allowed: a Variable"),
        (lambda view: {"own": 0.0}, {"own": gd.Variable("x", dims=("unit",))}, "dim unit without coordinates"),
        (lambda view: {"own": 0.0}, {"own": gd.Variable("x", dims="unit")}, "a tuple of names, such as ('unit',)"),
        (
            lambda view: {"own": jnp.ones(2)},
            {"own": gd.Variable("own", dims=("unit",), coordinates={"unit": [1, 1]})},
            "coordinates of unit of shape [2]; allowed: a list of distinct values",
        ),
        (lambda view: {"own": 0.0}, {"own": gd.Variable("x"), "step": gd.Variable("x")}, "'step'; allowed"),
        (lambda view: {"own": 0.0}, [], "Own.variables: a list; allowed: a dict"),
    ],
)
def test_a_probe_that_measures_something_else_is_told(measure, variables, words):
    error = told(probes=("loss", probe(measure, variables)))
    assert error.path == "probes[1]"
    assert words in str(error)


def test_names_of_two_probes_are_told():
    class Other(gd.Probe):
        def variables(self, shapes):
            return {"own": gd.Variable("own")}

    assert "probes[1]: got Own: a variable own; allowed: a name that probes[0], Other, has not" in str(
        told(probes=(Other(), probe(lambda view: {"own": 1.0})))
    )

    class Axis(Other):
        def variables(self, shapes):
            return TWO

    crossed = probe(lambda view: {"unit": 1.0}, {"unit": gd.Variable("x")})
    assert "a name that no dim has" in str(told(probes=(crossed, Axis())))


def test_an_axis_that_is_called_like_a_variable_is_told(tmp_path):
    for out in (None, tmp_path / "store"):
        with pytest.raises(gd.SpecError, match="sweep: got an axis seed, and seed of a probe"):
            gd.run(gd.Sweep(cases.tiny(probes=(Seed(),)), {"seed": [0, 1]}), out=out)
    assert not list(tmp_path.iterdir())


def test_a_mistake_found_in_tracing_leaves_no_folder(tmp_path):
    broken = Broken()
    with pytest.raises(gd.SpecError, match=r"probes\[0\]: got KeyError in Broken.measure: 'W_9'.*test_own_parts.py"):
        gd.run(cases.tiny(probes=(broken,)), out=tmp_path / "store")
    assert not list(tmp_path.iterdir())


class Seed(gd.Probe):
    """Gives a variable the name of an axis."""

    def variables(self, shapes):
        return {"seed": gd.Variable("x")}

    def measure(self, view):
        return {"seed": 1.0}


class Broken(gd.Probe):
    """Reads a tensor that is not there."""

    def variables(self, shapes):
        return {"own": gd.Variable("own")}

    def measure(self, view):
        return {"own": view.params["W_9"].mean()}


def masked(self):
    def matrices(tree):
        return jax.tree.map(lambda w: w.ndim > 1, tree)

    return optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(self.decay_of_matrices, mask=matrices))


def wide_memory(self):
    """Step along a mean of gradients that a float64 number has made float64."""

    def update(updates, mean, params=None):
        mean = jax.tree.map(lambda m, u: jnp.asarray(self.learning_rate) * m + u, mean, updates)
        return mean, mean

    return optax.GradientTransformation(lambda params: jax.tree.map(jnp.zeros_like, params), update)


DIRECTIONS = [
    masked,
    wide_memory,
    lambda self: optax.clip_by_global_norm(self.decay_of_matrices),
    lambda self: optax.scale_by_adam(b1=self.decay_of_matrices, eps=self.decay_of_matrices),
    lambda self: optax.scale_by_lion(b1=self.decay_of_matrices),
    lambda self: optax.trace(decay=self.decay_of_matrices),
    lambda self: optax.scale_by_rms(decay=self.decay_of_matrices),
]


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_optax_transforms_take_a_number_that_may_be_swept(direction):
    """In a network of float32 updates and memory stay float32, whatever the transform makes of the number."""
    planned(optimizer=optimizer(direction))  # traces an update and compares its state with the one before


def test_a_number_of_an_own_optimizer_swept_is_the_same_number_fixed():
    experiment = cases.tiny(optimizer=optimizer(masked), steps=3, record=gd.Every(1))
    swept = gd.run(gd.Sweep(experiment, {"optimizer.decay_of_matrices": [0.1, 0.4]}))
    fixed = gd.run(gd.Sweep(experiment.replace(**{"optimizer.decay_of_matrices": 0.4}), {"seed": [0, 1]}))
    assert np.all(swept.status == 0)
    np.testing.assert_array_equal(swept.train_loss[1], fixed.train_loss[0])
