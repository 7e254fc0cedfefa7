"""A mistake is told in one or two lines that name the field, what came, what is allowed, and the nearest word."""

import zlib

import numpy as np
import pytest

import grokdyn as gd
from grokdyn.spec import base, toml
from grokdyn.spec.sweep import decode
from tests import cases
from tests.spec.strategies import fields
from tests.spec.test_junk import assert_only_a_short_spec_error

TINY = cases.tiny()


def halves(a, b):
    return a / 2


def three(a, b):
    return 3


def short(value):
    """Return a name for a test case that is the same in every process."""
    return getattr(value, "__name__", ascii(value))[:40]


# field changed, the value, path named, words that the message must hold.
VALUES = [
    ("steps", 0, "steps", "from 1 to"),
    ("steps", -5, "steps", "got -5"),
    ("steps", 2.5, "steps", "whole number"),
    ("steps", "many", "steps", "got 'many'"),
    ("steps", True, "steps", "got True"),
    ("steps", 10**400, "steps", "whole number"),
    ("seed", -1, "seed", "from 0 to"),
    ("seed", 2**32, "seed", "4294967295"),
    ("seeds.noise", "x", "seeds.noise", "whole number"),
    ("dtype", "float16", "dtype", "float32, float64"),
    ("dtype", "flaot32", "dtype", "did you mean 'float32'?"),
    ("batch_size", 0, "batch_size", "from 1 to"),
    ("task", "moduler", "task.kind", "did you mean 'modular'?"),
    ("task", gd.MLP(), "task", "a task: kind ="),
    ("task", gd.ModularArithmetic, "task", "a task: kind ="),
    ("task", {"kind": "grokdyn.models.mlp:MLP"}, "task.kind", "a task: kind ="),
    ("task", {"kind": "no.such.module:Task"}, "task.kind", "No module named"),
    ("task", {"p": 7}, "task.kind", "got nothing"),
    ("task.p", 1, "task.p", "from 2 to 2000"),
    ("task.p", "7", "task.p", "got '7'"),
    ("task.train_fraction", 0.0, "task.train_fraction", "above 0 and at most 1"),
    ("task.train_fraction", 1.5, "task.train_fraction", "got 1.5"),
    ("task.label_noise", -0.1, "task.label_noise", "at least 0"),
    ("task.op", "ad", "task.op", "did you mean 'add'?"),
    ("task", "MODULAR", "task.kind", "did you mean 'modular'?"),
    ("optimizer.schedule", "Cos", "optimizer.schedule.kind", "did you mean 'cosine'?"),
    ("task.op", "math:pi", "task.op", "'math:pi'"),
    ("task.op", halves, "task.op", "whole numbers, one per pair"),
    ("task.op", three, "task.op", "whole numbers, one per pair"),
    ("task.op", abs, "task.op", "TypeError"),
    ("model.hidden", (0,), "model.hidden[0]", "from 1 to"),
    ("model.hidden", 128, "model.hidden", "a list"),
    ("model.hidden", "128", "model.hidden", "a list"),
    ("model.activation", "rleu", "model.activation", "did you mean 'relu'?"),
    ("model.bias", 1, "model.bias", "true or false"),
    ("optimizer.learning_rate", float("nan"), "optimizer.learning_rate", "a finite number at least 0"),
    ("optimizer.learning_rate", float("inf"), "optimizer.learning_rate", "a finite number"),
    ("optimizer.learning_rate", "1e-3", "optimizer.learning_rate", "got '1e-3'"),
    ("optimizer.learning_rate", True, "optimizer.learning_rate", "got True"),
    ("optimizer.b2", 1.0, "optimizer.b2", "below 1"),
    ("optimizer.clip_norm", 0, "optimizer.clip_norm", "above 0"),
    ("optimizer.schedule", "cosin", "optimizer.schedule.kind", "did you mean 'cosine'?"),
    ("probes", "loss", "probes", "a list of probes"),
    ("probes", ["loss", "acuracy"], "probes[1].kind", "did you mean 'accuracy'?"),
    ("probes", ["loss", "loss"], "probes[1]", "each probe once"),
    ("record", 50, "record", "every, log_spaced, at"),
    ("record", {"evry": 5}, "record.kind", "got nothing"),
    ("record", {"evry": 5}, "record.kind", "did you mean 'every'?"),
    ("record", {"every": 0}, "record.every", "from 1 to"),
    ("record", {"every": 5, "log_spaced": 9}, "record", "one of them alone: {log_spaced = 9}"),
    ("record", {"at": [3, 3]}, "record.at", "strictly increasing"),
    ("record", gd.Every(0), "record.steps", "from 1 to"),
    ("record", gd.At(()), "record.steps", "not empty"),
    ("record", gd.At((3, 3)), "record.steps", "strictly increasing"),
    ("record", gd.At((0, 11)), "record.steps", "up to the last one, 10"),
    ("record", gd.LogSpaced(1), "record.points", "from 2 to"),
]
RELATIONS = [
    ({"task.op": "div", "task.p": 9}, "task.p", "a prime modulus"),
    ({"steps": 10**9, "record": gd.Every(1)}, "record.steps", "at most 1000000 records"),
]
AXES = [
    ({"optimizer.weight_decy": [1]}, "optimizer.weight_decy", "did you mean 'weight_decay'?"),
    ({"optimiser.weight_decay": [1]}, "optimiser", "did you mean 'optimizer'?"),
    ({"task.p.p": [5]}, "task.p.p", "a path below"),
    ({"": [1]}, "spec", "a path that does not exist"),
    ({"optimizer.": [1]}, "optimizer.", "a path that does not exist"),
    ({"seed": []}, "sweep.seed", "at least one value"),
    ({"seed": 3}, "sweep.seed", "a list of values"),
    ({"seed": "012"}, "sweep.seed", "a list of values"),
    ({"seed": [0, 1, 0]}, "sweep.seed[2]", "0 a second time"),
    ({"optimizer.weight_decay": [1, 1.0]}, "sweep.optimizer.weight_decay[1]", "each value once"),
    ({"optimizer.weight_decay": [0, -1]}, "sweep.optimizer.weight_decay[1]", "got -1"),
    ({"optimizer.weight_decay": [0, "1"]}, "sweep.optimizer.weight_decay[1]", "got '1'"),
    ({"model": ["mlp", "nlp"]}, "sweep.model[1].kind", "did you mean 'mlp'?"),
    ({"seed": {"rnage": [0, 3]}}, "sweep.seed", "{range = [a, b]}"),
    ({"seed": {"range": [0]}}, "sweep.seed.range", "{range = [a, b]}"),
    ({"seed": {"range": [3, 3]}}, "sweep.seed", "at least one value"),
    ({"seed": {"range": [0, 4, 0]}}, "sweep.seed.range[2]", "not zero"),
    ({"seed": {"range": [0, 0.5]}}, "sweep.seed.range[1]", "whole number"),
    ({"optimizer.b1": {"linspace": [0, 2, 3]}}, "sweep.optimizer.b1[1]", "below 1"),
    ({"optimizer.b1": {"logspace": [0, 0.5, 3]}}, "sweep.optimizer.b1.logspace[0]", "above 0"),
    ({"optimizer.eps": {"linspace": [-1e308, 1e308, 3]}}, "sweep.optimizer.eps[0]", "finite number"),
    ({"seed": range(10**4), "seeds.init": range(10**4)}, "sweep", "100000000 runs"),
    ({7: [1]}, "sweep", "a path of text"),
]
TEXTS = [
    ("steps = ", "spec", "broken TOML"),
    ("steps = 1\nsteps = 2", "spec", "Cannot overwrite a value"),
    ("seed = " + "1" * 5000, "spec", "4300 digits"),
    ("", "task", "got nothing"),
    ("lerning_rate = 1", "lerning_rate", "an unknown key"),
    ("step = 3", "step", "did you mean 'steps'?"),
]


def message(action):
    with pytest.raises(gd.SpecError) as caught:
        action()
    assert_only_a_short_spec_error(action)
    return caught.value


def assert_told(error, path, words):
    assert error.path == path
    assert words in str(error)


@pytest.mark.parametrize(("field", "value", "path", "words"), VALUES, ids=short)
def test_a_bad_value_is_told(field, value, path, words):
    assert_told(message(lambda: base.check(TINY.replace(**{field: value}))), path, words)


@pytest.mark.parametrize(("changes", "path", "words"), RELATIONS)
def test_values_that_do_not_fit_together_are_told(changes, path, words):
    assert_told(message(lambda: base.check(TINY.replace(**changes))), path, words)


@pytest.mark.parametrize(("axes", "path", "words"), AXES, ids=short)
def test_a_bad_axis_is_told(axes, path, words):
    assert_told(message(lambda: gd.Sweep(TINY, axes)), path, words)


@pytest.mark.parametrize(("text", "path", "words"), TEXTS, ids=short)
def test_a_bad_text_is_told(text, path, words):
    assert_told(message(lambda: decode(toml.loads(text))), path, words)


def test_values_of_two_axes_that_do_not_fit_together_are_told():
    sweep = gd.Sweep(TINY, {"task.op": ["add", "div"], "task.p": [5, 6]})
    assert_told(message(lambda: list(sweep.experiments())), "task.p", "a prime modulus for op = 'div'")


def test_the_same_axis_in_two_spellings_is_told():
    text = TINY.to_toml() + '[sweep]\n"optimizer.b1" = [0.1]\n[sweep.optimizer]\nb1 = [0.2]\n'
    assert_told(message(lambda: gd.Sweep.from_toml(text)), "sweep.optimizer.b1", "each path once")


@pytest.mark.parametrize("what", [None, "runs/spec.toml", {}, gd.MLP()], ids=str)
def test_something_else_than_an_experiment_is_told(what):
    assert_told(message(lambda: gd.run(what)), "experiment", "an Experiment")
    if what != {}:
        assert_told(message(lambda: gd.Sweep(TINY, what)), "sweep", "a table of axes")


def test_a_replaced_path_that_does_not_exist_is_told():
    assert_told(message(lambda: TINY.replace(**{"optimizer.beta2": 0.9})), "optimizer.beta2", "did you mean 'b2'?")
    assert_told(message(lambda: TINY.replace(**{"task.p.p": 0.9})), "task.p.p", "a path below")


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    assert "No such file" in str(message(lambda: gd.load(tmp_path / "none.toml")))
    assert "Is a directory" in str(message(lambda: gd.load(tmp_path)))
    assert "not UTF-8" in str(message(lambda: gd.load(tmp_path / "bytes.toml")))


@pytest.mark.parametrize("axis", ["'optimizer' = ['adamw']", "optimizer = [{kind = 'sgd', learning_rate = 0.1}]"])
def test_a_field_of_a_part_that_is_swept_as_a_whole_is_told(axis, tmp_path):
    file, field = tmp_path / "spec.toml", {"optimizer.learning_rate": 0.5}
    file.write_text(f"{TINY.to_toml()}[sweep]\n{axis}\nseed = [0, 1]\n[scale.smoke]\n'optimizer.learning_rate' = 0.5\n")
    words = "allowed: a field outside optimizer, which the sweep replaces as a whole (set sweep.optimizer, or"
    assert_told(message(lambda: gd.load(file, overrides=field)), "optimizer.learning_rate", words)
    assert_told(message(lambda: gd.load(file, "smoke")), "optimizer.learning_rate", words)
    assert gd.load(file, overrides={"optimizer": "sgd", **field}).base.optimizer.learning_rate == 0.5
    assert len(list(gd.load(file, overrides={"sweep.optimizer.learning_rate": [0.5, 1]}).experiments())) == 4


def test_items_of_lists_are_set_and_those_that_are_not_there_are_told(tmp_path):
    file = tmp_path / "spec.toml"
    text = TINY.replace(probes=("loss", gd.Sharpness()), transforms=(gd.TrainSize(points=9),)).to_toml()
    file.write_text(text + "[scale.smoke]\n'transforms[0].points' = 4\n'probes[0].every' = 5\n")
    found = gd.load(file, "smoke", {"probes[1].iterations": 7})
    assert (found.transforms[0].points, found.probes[0].every, found.probes[1].iterations) == (4, 5, 7)
    for path, words in (
        ("transforms[1].points", "a field of transforms[1]; allowed: transforms[0]"),
        ("stop[0].records", "no"),
        ("probes.1.every", "a field of probes, a list; allowed: one of an item: probes[0], probes[1]"),
    ):
        assert_told(message(lambda path=path: gd.load(file, overrides={path: 3})), path, words)


class Odd:
    """Cannot be compared or shown."""

    def __repr__(self):
        raise RuntimeError("no picture")

    def __eq__(self, other):
        raise RuntimeError("no comparison")


OBJECTS = (
    None, Odd(), Odd, object(), b"ab", np.array([1, 2]), np.array(3), np.float32(0.5), {1, 2}, {1: 2}, lambda: 0, print,
    gd.MLP, gd.MLP(), gd.SGD(), gd.Constant(), gd.Loss(), TINY, 1 + 2j, 10**5000, "x" * 9999, [None], [[1]], [gd.MLP()],
)  # fmt: skip


@pytest.mark.parametrize(("family", "component"), cases.cases())
def test_any_object_in_any_field_gives_a_short_spec_error(family, component):
    assert_any_object_is_judged(cases.within(family, component), place_of(family), 3)


def test_any_object_in_any_field_of_an_experiment_gives_a_short_spec_error():
    assert_any_object_is_judged(TINY, "")


def place_of(family):
    return "optimizer.schedule" if family == "schedule" else family


def assert_any_object_is_judged(experiment, place, every=1):
    """Put objects, or one in so many, into every field at or below a place, as a value, an axis, a value of an axis.

    Which ones is up to the field's name: of the thousands of fields, many of them inherited, each object meets many.
    """
    for path in [path for path, _ in fields(experiment) if path.startswith(place)]:
        for thing in OBJECTS[zlib.crc32(path.encode()) % every :: every]:
            assert_only_a_short_spec_error(lambda: base.check(experiment.replace(**{path: thing})).to_toml())  # noqa: B023
            assert_only_a_short_spec_error(lambda: gd.Sweep(experiment, {path: thing}))  # noqa: B023
            assert_only_a_short_spec_error(lambda: gd.Sweep(experiment, {path: [thing]}).to_toml())  # noqa: B023
