"""The recipes of CONTRIBUTING.md run as they are pasted, and check_component says what holds."""

import re
from pathlib import Path

import numpy as np
import pytest

import grokdyn as gd
from grokdyn.engine.component import apart, at_home
from grokdyn.spec.declare import METHODS, family_of
from tests import cases

TEXT = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def pasted(block):
    """Return the components that a block of code defines, with their defaults."""
    names = {"__name__": "recipes"}
    exec(compile(block, "recipes.py", "exec"), names)
    return [thing() for thing in names.values() if isinstance(thing, type) and thing.__module__ == "recipes"]


PARTS = [part for block in BLOCKS if "class " in block for part in pasted(block)]


def test_there_is_a_recipe_for_every_family():
    """An intervention is no part of an experiment: it acts on stored runs."""
    assert {family_of(type(part)) for part in PARTS} == set(METHODS) - {"record", "intervention"}


@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
def test_a_recipe_fits_in_both_dtypes(part):
    assert at_home(family_of(type(part)), part, None)


def test_the_recipes_train_together():
    parts = {family_of(type(part)): part for part in reversed(PARTS)}
    found = gd.run(
        gd.Experiment(
            task=parts["task"],
            model=parts["model"],
            loss=parts["loss"],
            optimizer=parts["optimizer"].replace(schedule=parts["schedule"], learning_rate=0.01),
            steps=20,
            record=gd.Every(10),
            probes=("loss", "accuracy", parts["probe"]),
            stop=(parts["stop"],),
        ),
        progress=False,
    )
    assert found.status == 0
    assert found.train_loss[-1] < found.train_loss[0]
    assert np.all(found.largest_loss >= found.train_loss)


class Steeper(gd.Schedule):
    """One whose number does nothing."""

    steps: float = gd.field(gd.Number(0), default=3.0)
    idle: float = gd.field(gd.Number(0), default=3.0)

    def factor(self, count):
        return 1 / (1 + count / self.steps)


def test_the_line_that_checks_a_component_is_right(monkeypatch):
    seen = []
    monkeypatch.setattr(gd, "check_component", seen.append)
    for block in BLOCKS:
        if "class " not in block:
            pasted(block)
    assert seen == [gd.AdamW(learning_rate=0.01)]


def test_check_component_prints_what_holds(capsys):
    gd.check_component(Steeper())
    told = capsys.readouterr().out
    assert "Steeper, a schedule, in a tiny experiment (modular, mlp):" in told
    assert "TOML: read back as it was written" in told
    assert "numbers, swept in one program, with the bits of fixed ones: steps, idle" in told
    assert "numbers that changed nothing in these few steps: idle" in told


class Crowd(gd.Model):
    """Rows that see each other."""

    def initial(self, key, signature, dtype):
        return {"W": gd.draws.normal(key, (signature.inputs.entries, signature.outputs), dtype)}

    def apply(self, params, inputs):
        x = inputs.astype(params["W"].dtype)
        return gd.Output((x - x.mean(0)) @ params["W"], {})


def test_check_component_tells_what_does_not(monkeypatch):
    with pytest.raises(gd.SpecError, match="logits of a row that depend on other rows"):
        apart(at_home("model", Crowd(), None))
    with pytest.raises(gd.SpecError, match=r"an instance of a class that extends one of gd.Task"):
        gd.check_component(Crowd)
    monkeypatch.setattr(Steeper, "factor", lambda self, count: "x")
    with pytest.raises(gd.SpecError, match="optimizer"):
        gd.check_component(Steeper(), cases.tiny())
