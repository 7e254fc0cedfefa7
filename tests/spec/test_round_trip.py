"""What is written as TOML is what is read back."""

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import grokdyn as gd
from grokdyn.spec import base
from grokdyn.spec.places import KINDS
from grokdyn.tasks import digits, mnist
from tests import cases
from tests.spec import strategies

SETTINGS = settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@SETTINGS
@given(strategies.experiments())
def test_experiments_survive_toml(experiment):
    assert gd.Experiment.from_toml(experiment.to_toml()) == base.check(experiment)


@SETTINGS
@given(st.data())
def test_sweeps_survive_toml(data):
    experiment = data.draw(strategies.experiments())
    try:
        sweep = gd.Sweep(experiment, data.draw(strategies.axes(experiment)))
    except gd.SpecError:  # values that are one after all, as 0.0 and -0.0
        assume(False)
    assert gd.Sweep.from_toml(sweep.to_toml()) == sweep


@pytest.mark.parametrize(("family", "component"), cases.cases())
def test_components_survive_toml(family, component):
    experiment = base.check(cases.within(family, component))
    assert gd.Experiment.from_toml(experiment.to_toml()) == experiment


@pytest.mark.parametrize("family", KINDS)
def test_every_kind_has_a_case(family):
    present = {cases.kind_of(component) for component in cases.FAMILIES[family]}
    absent = {name for name, task in (("mnist", mnist), ("digits", digits)) if task.source() is None}
    assert set(KINDS[family]) - present <= absent


@pytest.mark.parametrize("name", ["experiment.toml", "sweep.toml"])
def test_files_are_read_back(tmp_path, name):
    sweep = gd.Sweep(cases.tiny(), {"seed": range(3)} if name == "sweep.toml" else {})
    (tmp_path / name).write_text(sweep.to_toml() if sweep.axes else sweep.base.to_toml())
    assert gd.load(tmp_path / name) == (sweep if sweep.axes else sweep.base)


def test_nothing_is_a_value_of_an_axis():
    sweep = gd.Sweep(cases.tiny(), {"optimizer.clip_norm": [None, 1.0], "seeds.init": [None, 3]})
    assert gd.Sweep.from_toml(sweep.to_toml()) == sweep


def test_the_readme_form_of_a_file_is_read():
    text = """
        steps = 2000
        record = {every = 50}
        probes = ["loss", "accuracy", "weight_norm"]
        [task]
        kind = "modular"
        op = "add"
        p = 23
        [model]
        kind = "mlp"
        hidden = [128]
        activation = "square"
        [loss]
        kind = "mse"
        [optimizer]
        kind = "adamw"
        learning_rate = 0.01
        [sweep]
        "optimizer.weight_decay" = [0.0, 0.1, 1.0, 10.0]
        "task.train_fraction" = {linspace = [0.2, 0.9, 8]}
        seed = {range = [0, 8]}
        [sweep.optimizer]
        b2 = {logspace = [0.5, 0.9, 2]}
    """
    sweep = gd.Sweep.from_toml(text)
    assert sweep.shape == {"weight_decay": 4, "train_fraction": 8, "seed": 8, "b2": 2}
    assert sweep.axes["task.train_fraction"] == (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    assert sweep.base.record == gd.Every(50)
