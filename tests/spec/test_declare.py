"""What a class may declare, how its instances are made, and what is told where it goes wrong."""

import copy
import pickle
import sys
from typing import ClassVar

import numpy as np
import pytest

import grokdyn as gd
from grokdyn.spec import base
from grokdyn.spec.places import KINDS, PLACES, PUBLIC_BASES
from tests import cases


def subclass(parent, annotations=(), **attributes):
    """Return a class as ``class Own(parent)`` with a body would make it."""
    return type("Own", (parent,), {"__module__": __name__, "__annotations__": dict(annotations), **attributes})


def number(**kwargs):
    return gd.field(gd.Number(0), **kwargs)


def noop(self, *_):
    return None


CLASSES = [
    (gd.Optimizer, {"rate": "float"}, {}, "Own.rate: got an annotation without gd.field; allowed: rate: float = gd."),
    (gd.Optimizer, {"rate": "float"}, {"rate": 0.5}, "gd.field(gd.rules.Number(), default=0.5)"),
    (gd.Task, {"bits": "int"}, {"bits": 9}, "bits: int = gd.field(gd.rules.Count(), default=9)"),
    (gd.Model, {"gated": "bool"}, {"gated": True}, "gated: bool = gd.field(gd.rules.Flag(), default=True)"),
    (gd.Optimizer, {}, {"rate": number(default=1.0)}, "Own.rate: got gd.field without an annotation"),
    (gd.Task, {}, {"train_fraction": 0.3}, "Own.train_fraction: got a plain attribute called like an inherited field"),
    (gd.Optimizer, {}, {"schedule": noop}, "Own.schedule: got a plain attribute called like an inherited field"),
    (gd.Optimizer, {"schedule": "float"}, {"schedule": number()}, "another name, or Part as there"),
    (gd.LossFunction, {"rows": "int"}, {"rows": number()}, "Own.rows: got a field called like Loss.rows"),
    (gd.Model, {"replace": "int"}, {"replace": number()}, "a field called like Spec.replace"),
    (gd.Task, {}, {"__init__": noop}, "Own: got an __init__ of its own; allowed: fields"),
    (
        gd.Loss,
        {},
        {"rows": noop},
        "Own: got rows, which a loss defines, in a subclass of Loss, a probe; allowed: gd.Los",
    ),
    (gd.MSE, {}, {"measure": noop}, "allowed: gd.Probe as the base of a probe"),
    (gd.SGD, {}, {"factor": noop}, "factor, which a schedule defines, in a subclass of SGD, an optimizer"),
    (gd.AdamW, {}, {"apply": noop}, "allowed: gd.Model as the base of a model"),
]


@pytest.mark.parametrize(("parent", "annotations", "attributes", "words"), CLASSES)
def test_a_class_that_would_not_do_what_it_seems_to_is_told(parent, annotations, attributes, words):
    with pytest.raises(gd.SpecError) as caught:
        subclass(parent, annotations, **attributes)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("parent", "annotations", "attributes"),
    [
        (gd.Optimizer, {"learning_rate": "float"}, {"learning_rate": number(default=0.5), "direction": noop}),
        (gd.Optimizer, {"clip_norm": "float"}, {"clip_norm": number(default=0.5)}),
        (gd.Probe, {}, {"measure": noop, "rows": noop}),
        (gd.Task, {"SIZE": ClassVar[int]}, {"SIZE": 3, "drawn": True, "helper": noop}),
        (gd.AdamW, {"extra": "float"}, {"extra": number(default=0.5)}),
    ],
)
def test_what_a_class_may_declare(parent, annotations, attributes):
    assert base.check(subclass(parent, annotations, **attributes)())


CALLS = [
    (lambda: gd.AdamW(1e-3), "AdamW: got 1 value without a name; allowed: values by name: learning_rate, schedule"),
    (lambda: gd.MLP((4,), "relu", True, "torch", 2.0), "MLP: got 5 values without a name; allowed: at most 4 (hidden,"),
    (lambda: gd.AdamW(lr=1e-3), "AdamW.lr: got an unknown field; allowed: learning_rate, schedule"),
    (lambda: gd.AdamW(lr=1e-3), "did you mean 'learning_rate'?"),
    (lambda: gd.AdamW(beta2=0.9), "did you mean 'b2'?"),
    (lambda: gd.MLP(width=3), "did you mean 'hidden'?"),
    (lambda: gd.Transformer(n_layers=3), "did you mean 'layers'?"),
    (lambda: gd.MLP((4,), hidden=(4,)), "MLP.hidden: got two values; allowed: one"),
    (lambda: gd.Experiment(task="modular", model="mlp", loss="mse", steps=3), "Experiment.optimizer: got nothing"),
    (lambda: gd.Experiment(epochs=3), "did you mean 'steps'?"),
]


@pytest.mark.parametrize(("call", "words"), CALLS)
def test_a_call_that_does_not_fit_is_told(call, words):
    with pytest.raises(gd.SpecError) as caught:
        call()
    assert words in str(caught.value)


def test_a_value_without_a_name_is_a_field_of_the_class_itself():
    assert gd.MLP((64,)).hidden == (64,)
    assert gd.Transformer(2, 16) == gd.Transformer(layers=2, d_model=16)
    assert gd.ModularArithmetic("add", 7) == gd.ModularArithmetic(op="add", p=7)
    assert gd.PerpGrad(gd.SGD()).inner == gd.SGD()
    with pytest.raises(gd.SpecError, match=r"model.hidden: got 64; allowed: a list .* \(did you mean \[64\]\?\)"):
        gd.Sweep(cases.tiny(model=gd.MLP(64)))


@pytest.mark.parametrize("family", KINDS)
def test_no_kind_takes_what_its_family_gives_it_without_a_name(family):
    shared = set(base.rules(getattr(gd, PUBLIC_BASES[family])))
    for place in KINDS[family].values():
        ordered = [f.name for f in base.dataclasses.fields(getattr(gd, place.rpartition(":")[2])) if not f.kw_only]
        assert not shared & set(ordered)


@pytest.mark.parametrize(("family", "component"), cases.cases())
def test_a_component_is_copied_and_pickled(family, component):
    assert pickle.loads(pickle.dumps(component)) == copy.deepcopy(component) == component


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("loss", gd.Loss(), "(Loss is a probe, as its base Probe is: extend gd.LossFunction)"),
        ("optimizer", gd.Warmup(), "(Warmup is a schedule, as its base Schedule is: extend gd.Optimizer)"),
        ("model", gd.MLP, "(an instance: MLP())"),
        ("model", object(), "allowed: a model"),
        ("task", type("Mine", (), {}), "(a class of your own extends gd.Task)"),
        ("loss", {"kind": "grokdyn.probes.fit:Loss"}, "Loss is a probe"),
        ("probes", gd.Loss(), "did you mean [Loss()]?"),
        ("probes", {"loss"}, "a set has no order"),
        ("model.hidden", {8, 4}, "a set has no order"),
        ("model.hidden", iter((8, 4)), "used up by one reading: list(...)"),
    ],
)
def test_a_refusal_names_what_to_write(field, value, words):
    with pytest.raises(gd.SpecError) as caught:
        base.check(cases.tiny(**{field: value}))
    assert words in str(caught.value)


def arrays():
    """Return makers of what holds numbers in an order."""
    found = [list, tuple, np.array, lambda x: np.array(x, np.uint8), lambda x: dict.fromkeys(x, 0).keys(), jax_array]
    pandas = pytest.importorskip("pandas")
    return [*found, pandas.Series, pandas.Index]


def jax_array(values):
    import jax.numpy as jnp

    return jnp.asarray(values)


def test_a_list_of_numbers_may_be_an_array_a_column_or_a_range():
    experiment = cases.tiny(steps=50)
    for made in arrays():
        assert base.check(experiment.replace(snapshots=made([1, 4]))).snapshots == (1, 4)
        assert gd.Sweep(experiment, {"seed": made([3, 1])}).axes["seed"] == (3, 1)
    assert base.check(experiment.replace(snapshots=range(1, 50, 10))).snapshots == (1, 11, 21, 31, 41)
    assert base.check(experiment.replace(snapshots={41, 1, 11})).snapshots == (1, 11, 41)
    assert gd.Sweep(experiment, {"seed": {4, 1, 3}}).axes["seed"] == (1, 3, 4)
    assert base.check(experiment.replace(probes=np.array(["loss", "accuracy"]))).probes == (gd.Loss(), gd.Accuracy())
    assert gd.Sweep(experiment, {"model.bias": np.array([True, False])}).axes["model.bias"] == (True, False)


@pytest.mark.parametrize(("wrong", "right"), [("AdmaW", "AdamW"), ("adamw", "AdamW"), ("Experimnt", "Experiment")])
def test_a_name_that_is_not_there_names_the_nearest_once(wrong, right, capsys):
    """Python has a hint of its own, which it adds where it prints the error; for AdmaW it is Adam."""
    with pytest.raises(AttributeError, match=f"no attribute '{wrong}'; did you mean '{right}'") as error:
        getattr(gd, wrong)
    sys.__excepthook__(error.type, error.value, None)
    assert capsys.readouterr().err.rstrip().endswith(f"did you mean '{right}'?")
    assert not hasattr(gd, "zzzz")


def test_every_public_name_is_there():
    for name in PLACES:
        assert getattr(gd, name) is not None
    for name in PUBLIC_BASES.values():
        assert isinstance(getattr(gd, name), type)
