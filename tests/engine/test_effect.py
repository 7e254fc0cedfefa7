"""Settings without effect: an axis is refused before anything is compiled, a single one is told."""

import numpy as np
import pytest

import grokdyn as gd
from grokdyn.engine.host.devices import devices
from grokdyn.engine.host.scope import scope
from grokdyn.engine.plan.effect import check_effect
from grokdyn.engine.plan.plan import Plan
from grokdyn.spec.rules import Number
from grokdyn.train.compiled import TRACES
from tests import cases

PARAMS = {"W_0": np.full((14, 8), 0.1), "W_1": np.full((8, 7), 0.2)}
ROWS = gd.Start(train_rows=np.arange(30))
BOTH = gd.Start(params=PARAMS, train_rows=np.arange(30))
TINY = cases.tiny(steps=2, record=gd.Every(1), probes=("loss",))
POINTS = TINY.replace(**{"task.train_points": 20})
STREAMS = ("init", "split", "noise", "batch", "probe")
DROPS = TINY.replace(**{"optimizer.schedule": gd.StepDecay()})
SWITCH = gd.SwitchOptimizer(gd.SGD(), gd.Adam(), 1)


class Deaf(gd.SGD):
    """An optimizer with a number that nothing reads."""

    unheard: float = gd.field(Number(), default=0.0)


def looked_at(what, start=None, stored=False):
    """Look at an experiment or a sweep as ``run`` does before it trains."""
    sweep = what if isinstance(what, gd.Sweep) else gd.Sweep(what, {})
    with scope(sweep):
        check_effect(Plan.of(sweep, devices(), start), stored)


AXES = [
    ("task.train_fraction", [0.2, 0.8], TINY, ROWS, "start.train_rows"),
    ("task.train_points", [5, 9], TINY, ROWS, "start.train_rows"),
    ("task.train_fraction", [0.2, 0.8], POINTS, None, "train_points is given"),
    ("model.init_scale", [1.0, 2.0], TINY, gd.Start(params=PARAMS), "start.params"),
    ("model.init", ["torch", "lecun"], TINY, gd.Start(params=PARAMS), "start.params"),
    ("seeds.init", [1, 2], TINY, gd.Start(params=PARAMS), "start.params"),
    ("seed", [0, 1], TINY, BOTH, "nothing that is trained"),
    (
        "seed",
        [0, 1],
        TINY.replace(seeds=dict.fromkeys(STREAMS, 1)),
        None,
        "stream",
    ),
    ("seeds.batch", [1, 2], TINY, None, "no batch_size"),
    ("seeds.noise", [1, 2], TINY, None, "label_noise is 0"),
    ("seeds.probe", [1, 2], TINY, None, "nothing that is trained"),
    ("task.noise", ["wrong", "uniform"], TINY, None, "label_noise is 0"),
    ("batch_replacement", [True, False], TINY, None, "no batch_size"),
    ("snapshots", [(1,), (2,)], TINY, None, "no store"),
    ("steps", [5, 9], TINY.replace(record=gd.At((0, 1))), None, "end at step 1"),
    ("optimizer.unheard", [0.0, 1.0], TINY.replace(optimizer=Deaf()), None, "nothing that is trained"),
    ("optimizer.decay_to", ["zero", "init"], TINY, None, "no weight decay"),
    ("optimizer.nesterov", [True, False], TINY.replace(optimizer=gd.SGD()), None, "momentum is 0"),
    ("optimizer.adaptive", [True, False], TINY.replace(optimizer=gd.SAM(gd.SGD(), rho=0.0)), None, "rho is 0"),
    ("optimizer.alpha", [0.1, 0.2], TINY.replace(optimizer=gd.GrokfastEMA(gd.SGD(), lamb=0.0)), None, "lamb is 0"),
    ("optimizer.lamb", [0.1, 0.2], TINY.replace(optimizer=gd.GrokfastMA(gd.SGD(), window=9)), None, "no window"),
    ("optimizer.then.learning_rate", [0.1, 0.2], TINY.replace(optimizer=SWITCH.replace(at=9)), None, "ends at step 2"),
    ("optimizer.first", [gd.SGD(), gd.Lion()], TINY.replace(optimizer=SWITCH.replace(at=0)), None, "at step 0"),
    ("optimizer.at", [5, 9], TINY.replace(optimizer=SWITCH), None, "ends at step 2"),
    (
        "optimizer.schedule.every",
        [50, 60],
        TINY.replace(**{"optimizer.schedule": gd.StepDecay()}),
        None,
        "ends at step",
    ),
    ("model.rescaled", [True, False], TINY, None, "output_scale is 1"),
    ("model.activation", ["relu", "tanh"], TINY.replace(model=gd.MLP(hidden=())), None, "no hidden layer"),
    ("loss.rounding", ["every", "result"], TINY, None, "precision is float32"),
]


@pytest.mark.parametrize(("path", "values", "experiment", "start", "why"), AXES)
def test_an_axis_whose_runs_are_all_alike_is_refused_before_anything_is_compiled(path, values, experiment, start, why):
    before = TRACES.copy()
    with pytest.raises(gd.SpecError) as caught:
        gd.run(gd.Sweep(experiment, {path: values}), start=start)
    assert caught.value.path == f"sweep.{path}"
    assert "2 values that give the same run" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert why in str(caught.value)
    assert before == TRACES


def test_nothing_is_left_of_a_sweep_that_is_refused(tmp_path):
    with pytest.raises(gd.SpecError, match="the same run"):
        gd.run(gd.Sweep(TINY, {"task.train_fraction": [0.2, 0.8]}), out=tmp_path / "s", start=ROWS)
    assert not list(tmp_path.iterdir())


ALIVE = [
    ({"task.noise": ["wrong", "uniform"], "task.label_noise": [0.0, 0.5]}, TINY, None),
    ({"optimizer.at": [1, 9]}, TINY.replace(optimizer=SWITCH), None),
    ({"seeds.split": [1, 2]}, TINY, gd.Start(params=PARAMS)),
    ({"task.train_fraction": [0.2]}, POINTS, None),
    ({"seed": [0, 1]}, TINY.replace(probes=("hessian_trace",)), BOTH),
    ({"seed": [0, 1]}, TINY.replace(batch_size=5), BOTH),
    ({"model.init": ["torch", "ntk"]}, TINY, gd.Start(params=PARAMS)),
    ({"task.train_points": ["none", 5], "task.train_fraction": [0.2, 0.8]}, TINY, None),
    ({"stop": [(gd.When("train_loss", t, "<="),) for t in (0.1, 0.2)]}, TINY, None),
    ({"record": [gd.Every(1), gd.Every(2)]}, TINY, BOTH),
]


@pytest.mark.parametrize(("axes", "experiment", "start"), ALIVE)
def test_an_axis_that_matters_in_some_run_is_taken(axes, experiment, start, capfd):
    looked_at(gd.Sweep(experiment, axes), start)
    assert "no effect" not in capfd.readouterr().err


SINGLE = [
    ({"task.train_fraction": 0.3}, ROWS, "task.train_fraction = 0.3 has no effect: start.train_rows are given"),
    (
        {"model.init_scale": 2.0},
        gd.Start(params=PARAMS),
        "model.init_scale = 2.0 has no effect: start.params",
    ),
    (
        {"task.train_points": 5, "task.train_fraction": 0.3},
        None,
        "task.train_fraction = 0.3 has no effect",
    ),
    ({"snapshots": (1,)}, None, "snapshots = [1] has no effect: there is no store"),
    ({"batch_replacement": True}, None, "batch_replacement = True has no effect"),
    ({"record": gd.At((0, 1)), "steps": 7}, None, "steps = 7 has no effect: record and snapshots end at step 1"),
    (
        {"probes": ("loss", gd.KernelDrift(first=1, rows=4))},
        None,
        "probes[1].first = 1 has no effect: outputs",
    ),
]


@pytest.mark.parametrize(("changes", "start", "words"), SINGLE)
def test_a_setting_without_effect_is_told_in_one_line(changes, start, words, capfd):
    looked_at(TINY.replace(**changes), start)
    (told,) = [line for line in capfd.readouterr().err.splitlines() if "no effect" in line]
    assert told.startswith(f"grokdyn: {words}")


def test_what_is_as_it_would_be_anyhow_is_not_told(capfd):
    same = TINY.replace(**{"task.train_fraction": 30 / 49}), TINY.replace(record=gd.At((0, 2)))
    looked_at(same[0], ROWS)
    looked_at(same[1])
    looked_at(TINY.replace(snapshots=(1,)), stored=True)
    assert "no effect" not in capfd.readouterr().err


def test_a_fork_tells_what_its_state_has_decided_already(tmp_path, capfd):
    gd.run(TINY.replace(snapshots=(1,)), out=tmp_path / "s", progress=False)
    rule = (gd.When("train_loss", 0.0, "<="),)
    gd.fork(
        tmp_path / "s", 0, 1, {"model.init_scale": 2.0, "optimizer.weight_decay": 0.5, "stop": rule}, progress=False
    )
    told = [line for line in capfd.readouterr().err.splitlines() if line.startswith("grokdyn: ")]
    assert "grokdyn: model.init_scale = 2.0 has no effect: nothing that is trained or recorded depends on it" in told
    assert "grokdyn: stop rules count anew: they see what is recorded from step 1 on" in told
    assert not any("weight_decay" in line for line in told)
    with pytest.raises(gd.SpecError, match=r"sweep.seeds.init: got 2 values that give the same run"):
        gd.fork(tmp_path / "s", 0, 1, {"seeds.init": [1, 2]}, progress=False)
