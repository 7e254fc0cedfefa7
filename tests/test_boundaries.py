"""A search for a boundary: few runs, whole batches, the same bits after a kill."""

import contextlib
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest
import tomli_w
from scipy.spatial import KDTree

import grokdyn as gd
from grokdyn.analysis.checks import ArgumentError
from grokdyn.cli import main
from grokdyn.commands import QUICKSTART
from grokdyn.engine.store import reading
from grokdyn.engine.store.extension import held
from grokdyn.engine.store.files import StoreError
from grokdyn.spec.errors import SpecError
from grokdyn.spec.plane import Plane

QUESTION = "train_accuracy >= 0.9"
AXES = {"task.train_fraction": np.linspace(0.3, 0.9, 9), "optimizer.weight_decay": np.geomspace(0.1, 30, 8)}
# Four by four cells, then rounds of eight, three seeds each.
SEEDS, BUDGET = 3, 100


def experiment(**changes):
    given = {
        "task": gd.ModularArithmetic(op="add", p=7),
        "model": gd.MLP(hidden=(16,), activation="square", init="gromov"),
        "loss": gd.MSE(),
        "optimizer": gd.AdamW(learning_rate=0.01, b2=0.98),
        "steps": 200,
        "record": gd.Every(20),
        "probes": ("accuracy",),
    }
    return gd.Experiment(**{**given, **changes})


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    """Return a search, its store, and how far it was after every round."""
    out, stages = tmp_path_factory.mktemp("search") / "found", []
    return gd.boundary(experiment(), AXES, QUESTION, SEEDS, BUDGET, out=out, told=stages.append), out, stages


def test_a_search_runs_whole_batches_within_its_budget(search):
    made, _, stages = search
    runs = [stage.runs for stage in stages]
    assert runs[0] == 4 * 4 * SEEDS
    assert set(np.diff(runs)) <= {8 * SEEDS}
    assert made.fit.attrs["runs"] == made.runs.sizes["run"] == runs[-1] <= BUDGET
    assert made.fit.attrs["full_grid"] == 9 * 8 * SEEDS
    assert made.fit.attrs["ended"] in ("known", "budget")
    assert stages[-1].known_to == made.fit.attrs["known_to"]


def test_every_run_has_a_seed_of_its_own_and_is_one_of_the_full_grid_s(search):
    made, *_ = search
    assert len(set(made.runs.seed.values.tolist())) == made.runs.sizes["run"]
    plane = Plane(experiment(), AXES, SEEDS)
    whole = {tuple(point.values()) for point in plane.whole().points()}
    assert len(whole) == plane.full
    names = ("train_fraction", "weight_decay", "seed")
    mine = list(zip(*(made.runs[name].values.tolist() for name in names), strict=True))
    assert set(mine) <= whole | {row for row in mine if row[2] >= plane.full}


def test_called_again_it_trains_nothing_and_says_the_same(search):
    made, out, _ = search
    before = {file: file.stat().st_mtime_ns for file in (out / "results.zarr").rglob("*")}
    again = gd.boundary(experiment(), AXES, QUESTION, SEEDS, BUDGET, out=out)
    assert again.fit.identical(made.fit)
    assert before == {file: file.stat().st_mtime_ns for file in (out / "results.zarr").rglob("*")}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"axes": {**AXES, "task.fraction": [1, 2, 3, 4]}}, "task.fraction: got a path that does not exist"),
        ({"axes": {"task.train_fraction": AXES["task.train_fraction"]}}, "axes: got task.train_fraction; allowed: two"),
        ({"axes": {**AXES, "seed": range(4)}}, "two axes|no axis of seeds"),
        ({"axes": {"task.train_fraction": [0.3, 0.5], "seed": range(5)}}, "no axis of seeds"),
        ({"axes": {"task.train_fraction": [0.3, 0.5], "optimizer.weight_decay": [0, 1, 2, 3]}}, "at least 4 numbers"),
        ({"budget": 47}, "budget: got 47 runs; allowed: at least 48"),
        ({"question": "test_los <= 0.1"}, "no such variable"),
        ({"question": "test_accuracy >= 0.9 within 200"}, "a level below the 200 steps"),
        ({"question": "phase is grocking"}, "phase is one of"),
        ({"seeds": 0}, "seeds: got 0"),
    ],
)
def test_a_mistake_is_told_in_a_line_before_anything_is_written(tmp_path, changes, told):
    given = {"axes": AXES, "question": QUESTION, "seeds": SEEDS, "budget": BUDGET, **changes}
    with pytest.raises((SpecError, ArgumentError), match=told) as caught:
        gd.boundary(experiment(), out=tmp_path / "new", **given)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_question_that_never_splits_the_plane_is_told_and_nothing_more_is_run(search):
    made, out, _ = search
    with pytest.raises(ArgumentError, match=r"all \d+ runs answer yes, so no boundary divides the plane"):
        gd.boundary(experiment(), AXES, "train_accuracy >= 0", SEEDS, BUDGET + 100, out=out)
    assert gd.open(out).sizes["run"] == made.runs.sizes["run"]


def test_a_store_of_other_runs_or_that_another_process_extends_is_left_alone(search):
    made, out, _ = search
    with pytest.raises(StoreError, match="runs that are not of this plane"):
        gd.boundary(experiment(steps=180), AXES, QUESTION, SEEDS, BUDGET, out=out)
    with held(out), pytest.raises(StoreError, match="another process trains or extends it"):
        gd.boundary(experiment(), AXES, "train_accuracy >= 0.5", SEEDS, BUDGET + 100, out=out)
    assert gd.open(out).sizes["run"] == made.runs.sizes["run"]


# Says when it begins, after imports.
SEARCH = """
import grokdyn as gd
from tests.test_boundaries import AXES, BUDGET, QUESTION, SEEDS, experiment
print("ready", flush=True)
gd.boundary(experiment(), AXES, QUESTION, SEEDS, BUDGET, out={out!r}, progress=False)
"""
KILLS = 30


def searching(out):
    """Return a process that searches, and when it began."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", SEARCH.format(out=str(out))]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process, time.monotonic()


def stage(out):
    """Return how far a search had come."""
    if not (out / "results.zarr").exists():
        return "first grid" if (out / "manifest.json").exists() else "before its store"
    runs = reading.read_manifest(out).get("generations", [])
    return f"round {len(runs) + 1}"


@pytest.mark.slow
@pytest.mark.as_users
def test_thirty_kills_at_random_moments_of_a_search_change_no_bit(tmp_path):
    process, began = searching(tmp_path / "whole")
    process.communicate()
    assert process.returncode == 0
    long = time.monotonic() - began
    whole = gd.boundary(experiment(), AXES, QUESTION, SEEDS, BUDGET, out=tmp_path / "whole")
    draw, seen, same = random.Random(30), Counter(), 0
    while seen.total() < KILLS:
        out = tmp_path / f"killed-{seen.total()}"
        process, began = searching(out)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(draw.uniform(0, long))
        killed = process.poll() is None
        process.kill()
        process.communicate()
        if killed:
            seen[stage(out)] += 1
            again = gd.boundary(experiment(), AXES, QUESTION, SEEDS, BUDGET, out=out)
            same += again.runs.drop_attrs().identical(whole.runs.drop_attrs()) and again.fit.identical(whole.fit)
        shutil.rmtree(out, ignore_errors=True)
    print(f"{same} of {KILLS} identical;", dict(seen))
    assert same == KILLS
    assert len(seen) >= 3, "kills before, in and between its rounds"


def cells(fit, x, y):
    """Return the points of a fitted line in cells of the fine grid."""
    sides = ((fit.line_x, fit[x].values), (fit.line_y, fit[y].values))
    return np.stack([np.interp(line, axis, np.arange(len(axis))) for line, axis in sides], axis=1)


@pytest.mark.slow
@pytest.mark.as_users
def test_a_quarter_of_the_runs_finds_the_full_grid_s_boundary_to_half_a_cell():
    base = gd.load(QUICKSTART).base
    small = base.replace(steps=400, **{"task.p": 13})
    axes = {"task.train_fraction": np.linspace(0.2, 0.9, 32), "optimizer.weight_decay": np.geomspace(0.1, 20, 32)}
    made = gd.boundary(small, axes, "test_accuracy >= 0.9", seeds=4)
    whole = gd.boundary(small, axes, "test_accuracy >= 0.9", seeds=4, whole=True)
    assert whole.fit.attrs["runs"] == 32 * 32 * 4
    lines = [cells(each.fit, "train_fraction", "weight_decay") for each in (made, whole)]
    near = KDTree(lines[0]).query(lines[1])[0] <= 0.5
    length = whole.fit.length.values
    share = (length * near).sum() / length.sum()
    print(f"{made.fit.attrs['runs']} of {whole.fit.attrs['runs']} runs, {share:.3f} of the length within half a cell")
    assert made.fit.attrs["runs"] <= whole.fit.attrs["runs"] / 4
    assert share >= 0.95


def spec(folder, **changes):
    """Write the search as a file."""
    table = {"question": QUESTION, "seeds": SEEDS, "budget": BUDGET, **changes}
    sweep = {name: values.tolist() for name, values in AXES.items()}
    text = experiment().to_toml() + tomli_w.dumps({"sweep": sweep, "boundary": table})
    (folder / "mine.toml").write_text(text)
    return folder / "mine.toml"


def test_the_command_goes_on_where_a_search_is_and_tells_draws_and_says_what_comes_next(search, tmp_path, capsys):
    made, out, _ = search
    assert main(["boundary", str(spec(tmp_path)), "--out", str(out)]) == 0
    told = capsys.readouterr()
    assert f"{made.runs.sizes['run']}; a full grid takes {9 * 8 * SEEDS}" in " ".join(told.out.split())
    assert "next: grokdyn" in told.err
    assert (out / "figures/boundary.png").stat().st_size > 10_000
    rows = (out / "figures/boundary.csv").read_text().splitlines()
    assert rows[0] == "question,train_fraction,weight_decay,half_width_cells"
    assert len(rows) == 1 + made.fit.sizes["point"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--budget", "47"], "budget: got 47 runs"),
        (["--question", "phase is none"], "phase is one of"),
        (["--boundary.seed", "3"], "boundary.seed: got 3; allowed: one of seeds"),
        (["--sweep.steps", "[100, 200]"], "axes: got"),
        (["--sweep.task.fraction", "[1, 2, 3, 4]"], "a path that does not exist"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_and_status_2(tmp_path, capsys, arguments, told):
    assert main(["boundary", str(spec(tmp_path)), "--out", str(tmp_path / "new"), *arguments]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_an_axis_of_seeds_in_a_file_tells_how_many_a_cell_has(tmp_path):
    found = gd.load(spec(tmp_path), overrides={"sweep.seed": [5, 6]})
    assert found.plane.seeds == SEEDS
    file = tmp_path / "mine.toml"
    file.write_text(file.read_text().replace(f"seeds = {SEEDS}\n", ""))
    assert gd.load(file, overrides={"sweep.seed": [5, 6]}).plane.seeds == 2


def test_a_search_of_the_whole_grid_runs_every_cell_and_stops():
    axes = {name: values[:4] for name, values in AXES.items()} | {"optimizer.weight_decay": [0.1, 1.0, 10.0, 30.0]}
    made = gd.boundary(experiment(), axes, QUESTION, seeds=1, whole=True)
    assert made.runs.sizes["run"] == made.fit.attrs["full_grid"] == 16
    assert made.fit.attrs["widest_gap"] == 0
    with pytest.raises(SpecError, match="at least 16, those of the whole grid"):
        gd.boundary(experiment(), axes, QUESTION, seeds=1, whole=True, budget=15)


def test_a_file_without_a_question_and_commands_that_need_a_sweep_say_so(tmp_path, capsys):
    file = tmp_path / "plain.toml"
    file.write_text(experiment().to_toml())
    assert main(["boundary", str(file)]) == 2
    assert "no table [boundary]" in capsys.readouterr().err
    assert main(["run", str(spec(tmp_path)), "--shard", "1/2", "--out", str(tmp_path / "new")]) == 2
    assert "allowed: grokdyn boundary" in capsys.readouterr().err
