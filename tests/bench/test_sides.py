"""The sides of the bench compute the same thing."""

import dataclasses
import functools
import json

import jax
import numpy as np
import pytest

import grokdyn as gd
from grokdyn import bench
from grokdyn.bench import costs, floor, hand, measure
from grokdyn.bench.begin import begin
from grokdyn.bench.cases import CASES
from grokdyn.bench.costs import COSTS
from grokdyn.bench.engine_side import Engine
from grokdyn.engine.host.devices import devices

RUNS, STEPS = 3, 5
# Rows per tile, so that the 60 and 48 train rows fill several, the last in part.
TILE = 25


def tiny(name):
    """Return a case's experiment, made small, with numbers that none of the sides can ignore."""
    experiment = CASES[name].experiment()
    changes = {"task.p": 11, "optimizer.learning_rate": 0.02, "optimizer.weight_decay": 0.7}
    if CASES[name].network == "sequences":
        del changes["task.p"]
        changes |= {"task.rows": 7, "task.symbols": 8, "optimizer.learning_rate": 0.002}
        changes |= {"model.d_model": 8, "model.heads": 2, "model.d_mlp": 12}
    elif CASES[name].network == "cnn":
        del changes["task.p"]
        changes |= {"task.train_points": 60, "model.channels": (3, 2)}
    elif isinstance(experiment.model, gd.MLP):
        changes["model.hidden"] = tuple(8 + i for i, _ in enumerate(experiment.model.hidden))
    else:
        changes |= {"model.d_model": 8, "model.heads": 2, "optimizer.learning_rate": 0.002}
        changes["model.ff" if CASES[name].network == "encoder" else "model.d_mlp"] = 12
    return experiment.replace(steps=STEPS, record=gd.At((0, STEPS)), **changes)


def training_losses(experiment, beginning, params):
    """Return the mean loss over the train rows of every run, in float64."""
    model, signature = experiment.model, experiment.task.signature()
    losses = []
    for run, rows in enumerate(beginning.rows):
        if not isinstance(model, gd.MLP) or model.norm != "none":
            own = {k: w[run] for k, w in params.items()}
            first = model.initial_state(signature, "float32")
            state = {k: own.pop(k, value) for k, value in first.items()}
            logits = model.forward(own, beginning.table.inputs[rows], state=state).logits
            losses.append(np.mean(experiment.loss.rows(logits, beginning.table.labels[rows])))
            continue
        W = [np.asarray(params[f"W_{i}"][run], np.float64) for i in range(len(model.hidden) + 1)]
        z = np.eye(experiment.task.p)[beginning.table.inputs[rows]].reshape(len(rows), -1) @ W[0]
        for w in W[1:]:
            z = (np.maximum(z, 0) if model.activation == "relu" else z**2) @ w
        labels = beginning.table.labels[rows]
        if isinstance(experiment.loss, gd.MSE):
            losses.append(np.mean((z - np.eye(signature.outputs)[labels]) ** 2))
        else:
            losses.append(np.mean(np.log(np.exp(z).sum(1)) - z[np.arange(len(rows)), labels]))
    return np.asarray(losses)


@functools.cache
def engine(name):
    """Return a tiny case, where its runs begin, and the engine's training losses [(first, last), runs]."""
    experiment = tiny(name)
    beginning, found = begin(experiment, RUNS), []
    for run, rows in enumerate(beginning.rows):
        own = None if experiment.task.drawn else rows  # a table that the run draws itself trains whole
        start = gd.Start(params={name: w[run] for name, w in beginning.params.items()}, train_rows=own)
        found.append(gd.run(experiment, start=start, progress=False).train_loss.values)
    return experiment, beginning, np.transpose(found)


def marked(names):
    """Other networks compile long; these stand for them in the usual suite."""
    networks = {name: CASES[name].network for name in names}
    return [pytest.param(name, marks=[pytest.mark.slow] * (networks[name] != "mlp")) for name in names]


@pytest.mark.parametrize("name", marked([name for name, case in CASES.items() if case.network in hand.NETWORKS]))
def test_the_hand_written_side_follows_the_engine(name, monkeypatch):
    monkeypatch.setattr(hand, "CPU_TILE", TILE)
    experiment, beginning, (first, last) = engine(name)
    assert not np.array_equal(beginning.rows[0], beginning.rows[1])
    made = hand.Hand(CASES[name].network, experiment, beginning, devices())
    np.testing.assert_allclose(training_losses(experiment, beginning, made(0)), first, rtol=1e-6)
    np.testing.assert_allclose(training_losses(experiment, beginning, made(STEPS)), last, rtol=1e-5)
    assert np.all(last < first)


def test_the_hand_written_layouts_agree():
    experiment = tiny("p23")
    beginning = begin(experiment, RUNS)
    train = hand.trainer("mlp", experiment, beginning, tiles=1)
    mesh = jax.sharding.Mesh(np.asarray(devices()[:1]), ("lanes",))
    lanes = (beginning.params, beginning.rows)
    found = [hand.over_lanes(train, mesh, one_by_one)(lanes, STEPS) for one_by_one in (True, False)]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), *found)


@pytest.mark.parametrize("name", marked(CASES))
def test_pytorch_follows_the_engine(name):
    pytest.importorskip("torch")
    from grokdyn.bench.torch_side import NETWORKS, Torch, TorchBatched

    experiment, beginning, (_, last) = engine(name)
    network = CASES[name].network
    alone = beginning._replace(rows=beginning.rows[:1])
    one = numpy(Torch(network, experiment, beginning)(STEPS))
    np.testing.assert_allclose(training_losses(experiment, alone, one), last[:1], rtol=1e-5)
    if NETWORKS[network].batched is not None:
        batched = numpy(TorchBatched(network, experiment, beginning)(STEPS))
        np.testing.assert_allclose(training_losses(experiment, beginning, batched), last, rtol=1e-5)


def numpy(params):
    return {name: w.detach().cpu().numpy() for name, w in params.items()}


QUICK = ["--lanes", "2", "--rounds", "1", "--seconds", "0.001"]


@pytest.fixture
def nothing_taken_off(monkeypatch):
    """Fifty steps of two small runs are shorter than the noise of what every run costs, which is taken off them."""
    monkeypatch.setattr(Engine, "idle", lambda self: None)


def test_a_time_lost_in_what_every_run_costs_is_none(monkeypatch):
    class Side:
        def __call__(self, steps): ...

        def idle(self): ...

    seconds = iter([(0.5, 0.5), (0.2, 0.2), (0.5, 0.5), (0.6, 0.1)])
    monkeypatch.setattr(measure, "elapsed", lambda side, steps: next(seconds))
    timing = measure.Timing(steps=100, runs=2)
    measure.attempt(timing, lambda: measure.record(timing, Side()))
    assert timing.milliseconds == pytest.approx(1e3 * 0.3 / 200)
    measure.attempt(timing, lambda: measure.record(timing, Side()))
    assert timing.milliseconds is None
    assert timing.why_not == (
        "failed: 100 steps took 0.5 s, one record without a step 0.6 s: too few steps to be timed (more: --seconds)"
    )


def test_a_bench_prints_a_table_and_writes_json(tmp_path, capsys, monkeypatch, nothing_taken_off):
    monkeypatch.setattr(floor, "SECONDS", 1e-4)
    monkeypatch.setattr(floor, "padded", lambda product: [product])
    path = tmp_path / "bench.json"
    assert bench.main(["--case", "p23", "--no-torch", "--json", str(path), *QUICK]) == 0
    shown = capsys.readouterr().out
    assert "p23" in shown
    assert "load average" in shown
    found = json.loads(path.read_text())
    assert found["machine"]["versions"]["jax"] == jax.__version__
    (case,) = found["cases"]
    assert case["runs"] == 2
    assert case["sides"]["engine"]["steps"] % 50 == 0
    assert case["sides"]["hand"]["ms_per_run_step"] > 0
    assert case["sides"]["torch"]["why_not"] == "-"
    assert case["targets"]["torch/engine"]["met"] is None
    train_rows, products = 264, 64 * 64 + 64 * 23  # of the two layers behind the gather, three times each
    assert 1 <= case["operations_per_run_step"] / (6 * train_rows * products) < 1.5
    assert 0 < case["share_of_peak"] < 1
    assert case["floor_ms_per_run_step"] > 0
    assert case["targets"]["engine/floor"]["met"] is None  # nothing is asked of networks this small


def test_pytorch_that_is_not_there_is_told_how_to_get(tmp_path, capsys, monkeypatch, nothing_taken_off):
    monkeypatch.setattr(measure, "use_of_machine", lambda found: None)
    monkeypatch.setattr(measure, "floor_of", lambda found: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    path = tmp_path / "bench.json"
    assert bench.main(["--case", "p23", "--json", str(path), *QUICK]) == 0
    (case,) = json.loads(path.read_text())["cases"]
    assert case["sides"]["torch_batched"]["why_not"] == "not installed (pip install 'grokdyn[bench]')"
    assert "grokdyn[bench]" in capsys.readouterr().out


def test_a_side_that_fails_is_a_word_in_the_table(capsys, monkeypatch):
    from grokdyn.bench.hand import Hand

    def full(self, steps):
        raise RuntimeError("RESOURCE_EXHAUSTED: out of memory\nand more")

    monkeypatch.setattr(Hand, "__call__", full)
    monkeypatch.setattr(measure, "use_of_machine", lambda found: None)
    monkeypatch.setattr(measure, "floor_of", lambda found: None)
    assert bench.main(["--case", "p23", "--no-torch", *QUICK]) == 1
    assert "failed:" in capsys.readouterr().out


@pytest.mark.parametrize("name", COSTS)
def test_what_a_cost_adds_is_an_experiment(name):
    plain = COSTS[name].experiment()
    plain = plain.base if isinstance(plain, gd.Sweep) else plain
    assert plain.replace(**COSTS[name].changes).to_toml() != plain.to_toml()


def test_half_of_the_runs_are_over_after_a_quarter_of_the_steps():
    cost = COSTS["half_stopped"]
    sweep = cost.experiment()
    ds = gd.run(gd.Sweep(sweep.base.replace(steps=cost.steps, **cost.changes), {**sweep.axes, "seed": [0, 1]}))
    assert (ds.stopped_at.sel(init_scale=1.0) == -1).all()
    assert (ds.stopped_at.sel(init_scale=100.0) == 80).all()


def test_a_part_that_fails_once_is_not_timed_again(monkeypatch):
    failures = iter([True])

    def failing(timing, side):
        if side.experiment.optimizer.weight_decay == 0.5 and next(failures, False):
            raise RuntimeError("out of memory")
        timing.wall.append(1.0)

    cost = dataclasses.replace(COSTS["edge_probes"], experiment=lambda: tiny("p23"), steps=50)
    cost = dataclasses.replace(cost, changes={"optimizer.weight_decay": 0.5})
    monkeypatch.setattr(Engine, "__call__", lambda self, steps: None)
    monkeypatch.setattr(Engine, "idle", lambda self: None)
    monkeypatch.setattr(costs, "record", failing)
    found = costs.compared("some part", cost, 2, 3, 0.1, lambda text: None)
    assert found.without.wall == [1.0, 1.0, 1.0]
    assert found.with_it.why_not == "failed: out of memory"
    assert found.ratio is None


@pytest.mark.slow
def test_the_cost_of_a_part_is_told_beside_its_bound(tmp_path, capsys, monkeypatch, nothing_taken_off):
    small = dataclasses.replace(COSTS["edge_probes"], experiment=lambda: tiny("p113"))
    monkeypatch.setitem(COSTS, "edge_probes", small)
    path = tmp_path / "bench.json"
    assert bench.main(["--case", "edge_probes", "--json", str(path), *QUICK]) == 0
    assert "at most 1.05" in capsys.readouterr().out
    (line,) = json.loads(path.read_text())["costs"]
    assert line["sides"]["with"]["steps"] == line["sides"]["without"]["steps"] == 50
    target = line["targets"]["with/without"]
    assert target["met"] == (target["ratio"] <= 1.05)
