"""Numbers are leaves with a declared type, everything else is structure; sweeps are products of axes."""

import jax
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.engine.plan.cohorts import stack
from grokdyn.spec import base, rules
from tests import cases


@pytest.mark.parametrize(("family", "component"), cases.cases())
def test_numbers_are_leaves_and_the_rest_is_structure(family, component):
    leaves = cases.numbers(component)
    for name, rule in base.rules(type(component)).items():
        inner = getattr(rule, "inner", rule)
        value = getattr(component, name)
        assert (name in leaves) == (isinstance(inner, rules.Number | rules.Integer) and value is not None), name
    assert jax.tree.structure(component) == jax.tree.structure(cases.changed(component))
    assert jax.tree.structure(component) == jax.tree.structure(base.check(component))


@pytest.mark.parametrize(("family", "component"), cases.cases())
def test_structure_can_be_a_key(family, component):
    assert hash(jax.tree.structure(cases.within(family, component))) is not None


def test_structure_tells_programs_apart():
    tiny = cases.tiny()
    changes = ({"steps": 11}, {"model.hidden": (9,)}, {"model.bias": True}, {"dtype": "float64"}, {"seeds.init": 1})
    structures = {jax.tree.structure(tiny.replace(**change)) for change in ({}, *changes)}
    assert len(structures) == 1 + len(changes)
    numbers = ({"seed": 1}, {"task.train_fraction": 0.2}, {"model.init_scale": 2.0}, {"optimizer.b2": 0.9})
    assert {jax.tree.structure(tiny.replace(**change)) for change in numbers} == {jax.tree.structure(tiny)}


def test_an_axis_that_starts_with_a_whole_number_stays_an_axis_of_floats():
    sweep = gd.Sweep(cases.tiny(), {"optimizer.weight_decay": [0, 0.1, 0.3, 1]})
    assert [type(value) for value in sweep.axes["optimizer.weight_decay"]] == [float] * 4
    stacked = stack(list(sweep.experiments()))
    assert stacked.optimizer.weight_decay.dtype == np.float64
    assert stacked.optimizer.weight_decay.tolist() == [0, 0.1, 0.3, 1]
    assert stacked.seed.dtype == np.int64


def test_whole_numbers_become_floats_and_numpy_scalars_become_python():
    checked = base.check(
        cases.tiny(seed=np.int32(3), **{"optimizer.learning_rate": 1, "optimizer.b2": np.float32(0.5)})
    )
    assert (type(checked.optimizer.learning_rate), type(checked.optimizer.b2), type(checked.seed)) == (
        float,
        float,
        int,
    )
    assert base.check(checked) == checked


def test_parts_may_be_named_by_their_kind():
    experiment = gd.Experiment(
        task="modular", model={"kind": "mlp", "hidden": [4]}, loss="mse", optimizer="sgd", steps=3
    )
    checked = base.check(experiment)
    assert (checked.task, checked.model) == (gd.ModularArithmetic(), gd.MLP(hidden=(4,)))
    assert checked.probes == (gd.Loss(), gd.Accuracy(), gd.WeightNorm())


class Halving(gd.Optimizer):
    """A user's own part."""

    factor: float = gd.field(gd.rules.Number(0, 1), default=0.5)


def test_a_users_own_part_survives_toml():
    experiment = base.check(cases.tiny(optimizer=Halving(factor=0.25)))
    assert 'kind = "tests.spec.test_structure:Halving"' in experiment.to_toml()
    assert gd.Experiment.from_toml(experiment.to_toml()) == experiment


def product(a, b):
    return a * b


def test_a_users_own_operation_survives_toml():
    experiment = base.check(cases.tiny(**{"task.op": product}))
    assert gd.Experiment.from_toml(experiment.to_toml()) == experiment


def test_runs_come_in_row_major_order():
    sweep = gd.Sweep(cases.tiny(), {"optimizer.weight_decay": [0, 1, 2], "seed": range(2)})
    runs = [(e.optimizer.weight_decay, e.seed) for e in sweep.experiments()]
    assert runs == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]
    assert (sweep.size, sweep.shape) == (6, {"weight_decay": 3, "seed": 2})


def test_a_whole_part_is_set_before_the_numbers_inside_it():
    axes = {"optimizer.learning_rate": [0.5, 0.25], "optimizer": [gd.SGD(), gd.Adam()]}
    runs = list(gd.Sweep(cases.tiny(), axes).experiments())
    assert [(type(e.optimizer), e.optimizer.learning_rate) for e in runs] == [
        (gd.SGD, 0.5),
        (gd.Adam, 0.5),
        (gd.SGD, 0.25),
        (gd.Adam, 0.25),
    ]


def test_axes_that_would_share_a_name_keep_their_whole_path():
    sweep = gd.Sweep(cases.tiny(), {"task.noise": ["wrong"], "seeds.noise": [1], "seed": [0]})
    assert list(sweep.shape) == ["task.noise", "seeds.noise", "seed"]


@pytest.mark.parametrize(
    ("path", "values", "expected"),
    [
        ("optimizer.weight_decay", [0, 0.5], [0.0, 0.5]),
        ("seed", range(2), [0, 1]),
        ("model.bias", [True, False], [True, False]),
        ("model.activation", ["relu", "tanh"], ["relu", "tanh"]),
        ("model.hidden", [(4,), (4, 8)], ["4", "4-8"]),
        ("optimizer.clip_norm", [None, 2.0], ["none", "2.0"]),
        ("task.op", ["add", product], ["add", "product"]),
        ("optimizer", [gd.SGD(), gd.Lion()], ["sgd", "lion"]),
        ("optimizer", [gd.SGD(), gd.SGD(momentum=0.9)], ["sgd", "sgd(momentum=0.9)"]),
        ("optimizer.schedule", [gd.Constant(), gd.Cosine()], ["constant", "cosine"]),
        ("record", [gd.Every(2), gd.At((1,))], ["every", "at"]),
        ("probes", [["loss"], ["loss", "logits"]], ["loss", "loss-logits"]),
    ],
)
def test_coordinates_are_numbers_or_labels(path, values, expected):
    (coordinate,) = gd.Sweep(cases.tiny(), {path: values}).coordinates.values()
    assert coordinate.tolist() == expected


@pytest.mark.parametrize(
    ("record", "steps", "expected"),
    [
        (gd.Every(3), 10, [0, 3, 6, 9, 10]),
        (gd.Every(100), 10, [0, 10]),
        (gd.LogSpaced(4), 1000, [0, 1, 10, 100, 1000]),
        (gd.LogSpaced(50), 4, [0, 1, 2, 3, 4]),
        (gd.LogSpaced(2), 1, [0, 1]),
        (gd.At((2, 7)), 10, [2, 7]),
    ],
)
def test_recorded_steps(record, steps, expected):
    assert record.at(steps).tolist() == expected


def test_a_spacing_gives_the_values_a_user_would_write():
    axes = {"optimizer.b1": {"linspace": [0.1, 0.7, 7]}, "optimizer.eps": {"logspace": [1e-8, 1e-2, 4]}}
    sweep = gd.Sweep(cases.tiny(), {**axes, "seed": {"range": [4, 10, 3]}})
    assert sweep.axes["optimizer.b1"] == (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
    assert sweep.axes["optimizer.eps"] == (1e-8, 1e-6, 1e-4, 1e-2)
    assert sweep.axes["seed"] == (4, 7)
