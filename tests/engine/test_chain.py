"""Rounds from files: what they go on from, axes of what is done, several in a row, interruptions, mistakes."""

import json
import random
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress

import numpy as np
import pytest

import grokdyn as gd
from grokdyn.cli import main
from grokdyn.engine import chain, fork
from grokdyn.engine.store import reading
from tests import cases
from tests.cli.test_reproduce import CLAIMS
from tests.engine.alike import processes_alike
from tests.engine.test_interrupted import CutError, cut_after

DENSE = gd.Sweep(
    cases.tiny(steps=20, record=gd.Every(10), snapshots=(0, 10, 20), probes=("loss", "accuracy")), {"seed": [0, 1]}
).to_toml()
TICKET = """
steps = 10
snapshots = [0, 10]
[round]
of = "dense"
rewind = 0
apply = [{kind = "prune", keep = 0.5}, {kind = "rescale", factor = 1.0}]
[optimizer]
weight_decay = 0.5
[sweep]
"round.step" = [0, 20]
"round.prune.keep" = [0.25, 0.5]
[scale.smoke]
"sweep.round.prune.keep" = [0.5]
"""
AGAIN = """
[round]
of = "ticket"
rewind = 0
times = 2
apply = [{kind = "prune", keep = 0.5, scope = "layer"}]
"""
KILLS = 30


def slow(value):
    return pytest.param(value, marks=pytest.mark.slow)


@pytest.fixture(scope="module", autouse=True)
def alike():
    with processes_alike():
        yield


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a sweep, a round that goes on from it, and two more from that; it is the working directory."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("dense", DENSE), ("ticket", TICKET), ("again", AGAIN)):
        (tmp_path / f"{name}.toml").write_text(text)
    return tmp_path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The stores of the chain, never interrupted."""
    place = tmp_path_factory.mktemp("whole")
    for name, text in (("dense", DENSE), ("ticket", TICKET), ("again", AGAIN)):
        (place / f"{name}.toml").write_text(text)
    found = gd.run_round(gd.load(place / "again.toml"), place / "out/again", progress=False)
    return place / "out", found


def test_every_combination_is_the_fork_that_python_makes(whole, tmp_path):
    out, _ = whole
    found = gd.open(out / "ticket")
    assert found.train_loss.dims == ("seed", "round.step", "keep", "step")
    options = {"rewind": 0, "change": {"steps": 10, "snapshots": (0, 10), "optimizer.weight_decay": 0.5}}
    for step, keep in ((0, 0.5), (20, 0.25)):
        alone = gd.fork(out / "dense", step=step, apply=gd.Prune(keep=keep), progress=False, **options)
        one = found.sel(keep=keep, **{"round.step": step})
        np.testing.assert_array_equal(one.train_loss.transpose("seed", "step"), alone.train_loss)
    axes = {"round.step": [0, 20], "round.prune.keep": [0.25, 0.5]}
    options["change"] |= axes
    python = gd.fork(out / "dense", apply=gd.Prune(), out=tmp_path / "python", progress=False, **options)
    np.testing.assert_array_equal(python.train_loss, found.train_loss)
    every = gd.masks(out / "ticket", None)
    assert every["W_0"].shape == (2, 2, 2, 14, 8)
    for run in range(8):
        mask, other = gd.masks(out / "ticket", run), gd.masks(tmp_path / "python", run)
        assert sum(m.sum() for m in mask.values()) == round((0.25, 0.5)[run % 2] * 168)
        place = np.unravel_index(run, (2, 2, 2))
        assert all((mask[name] == other[name]).all() and (mask[name] == every[name][place]).all() for name in mask)


def test_rounds_in_a_row_halve_what_the_one_before_has_left(whole, capsys):
    out, found = whole
    assert found["round"].values.tolist() == [1, 2]
    assert found.attrs["axes"].split()[0] == "round"
    for name in ("again-round-1", "again"):
        before = "ticket" if name == "again-round-1" else "again-round-1"
        for run in range(8):
            old, new = gd.masks(out / before, run), gd.masks(out / name, run)
            for tensor, mask in new.items():
                assert not (mask & ~old[tensor]).any()
                assert mask.sum() == round(0.5 * old[tensor].sum())
    np.testing.assert_array_equal(found.train_loss.sel(round=2), gd.open(out / "again").train_loss)
    assert json.loads((out / "again/manifest.json").read_text())["parent"]["round"] == 3
    assert main(["info", str(out / "ticket")]) == 0
    assert "round 1, from step 0 of" in " ".join(capsys.readouterr().out.split())


def same_stores(out, whole, found):
    """Hold that a chain's stores, and what it returns, are those of one never interrupted."""
    assert found.identical(whole[1])
    for name in ("dense", "ticket", "again-round-1", "again"):
        assert gd.open(out / name).identical(gd.open(whole[0] / name)), name
        mine, theirs = (gd.params(place / name, 0) for place in (out, whole[0]))
        assert all((mine[tensor] == theirs[tensor]).all() for tensor in theirs)


@pytest.mark.parametrize("rounds", [slow(0), slow(1), slow(2), "within"])
def test_a_chain_that_is_cut_off_between_rounds_or_in_one_goes_on(whole, folder, rounds):
    start, begun = fork.Stored.start, []

    def counted(self, *arguments, **options):
        if len(begun) == rounds:
            raise CutError
        begun.append(self)
        return start(self, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fork.Stored, "start", counted)
        if rounds == "within":
            cut_after(patch, 3)
        with pytest.raises(CutError):
            gd.run_round(gd.load("again.toml"), "out/again", progress=False, checkpoint_seconds=0)
    order = ["dense", "ticket", "again-round-1", "again"]
    made = 2 if rounds == "within" else rounds + 1
    assert {place.name for place in (folder / "out").iterdir()} == set(order[:made])
    assert reading.is_finished(folder / "out" / order[made - 1]) == (rounds != "within")
    found = gd.run_round(gd.load("again.toml"), "out/again", progress=False)
    same_stores(folder / "out", whole, found)


def test_what_is_finished_is_left_and_another_spec_is_refused(whole, folder, capsys, monkeypatch):
    shutil.copytree(whole[0], "out")
    before = {file: file.stat().st_mtime_ns for file in folder.glob("out/*/results.zarr/zarr.json")}
    with monkeypatch.context() as later:  # also where the code has changed since
        later.setattr("grokdyn.engine.stored.check_same", lambda *changed: pytest.fail("nothing goes on"))
        assert main(["run", "again.toml", "--out", "out/again", "--quiet", "--no-figures"]) == 0
    assert {file: file.stat().st_mtime_ns for file in before} == before
    (folder / "ticket.toml").write_text(TICKET.replace("keep = 0.5", "keep = 0.5, scope = 'layer'"))
    assert main(["run", "again.toml", "--out", "out/again", "--quiet"]) == 2
    assert "out/ticket: got the results of another round" in capsys.readouterr().err
    assert main(["run", "ticket.toml", "--out", "out/ticket", "--steps", "5", "--snapshots", "[0]"]) == 2
    assert "out/ticket: got the results of another spec" in capsys.readouterr().err
    assert main(["run", "again.toml", "--round.of", "out/dense", "--round.times", "1", "--quiet", "--no-figures"]) == 0
    parent = json.loads((folder / "runs/again/manifest.json").read_text())["parent"]
    assert (parent["store"], parent["round"]) == (str(folder / "out/dense"), 1)


def test_a_folder_of_an_experiment_reproduces_its_rounds(folder, capsys):
    (folder / "claims.py").write_text(CLAIMS.replace('"spec"', '"ticket"').replace("train_fraction", "keep"))
    (folder / "claims.py").write_text((folder / "claims.py").read_text().replace("weight_decay", "round.step"))
    for name in ("dense", "again"):
        (folder / f"{name}.toml").write_text((folder / f"{name}.toml").read_text() + "[scale.smoke]\n")
    assert main(["reproduce", ".", "--scale", "smoke", "--quiet", "--out", "out"]) == 0
    assert gd.open("out/ticket").keep.values.tolist() == [0.5]
    assert json.loads((folder / "out/claims.json").read_text())["made"]["runs"] == 2 + 4 + 4
    (folder / "ticket.toml").write_text(
        TICKET.replace("keep = 0.5}", "keep = 0.001}").replace("[0.25, 0.5]", "[0.001]")
    )
    capsys.readouterr()
    assert main(["reproduce", ".", "--scale", "full", "--quiet", "--out", "other"]) == 2
    assert "apply.prune.keep: got 0.001 of 168 weights; allowed: a share of at least one" in capsys.readouterr().err
    assert not (folder / "other").exists()


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        ("ticket", '"dense"', '"denes"', "round.of: got 'denes'; allowed: a spec beside this one, .*mean 'dense'"),
        ("ticket", '"dense"', '"again"', "round.of: got a circle: again of ticket of again"),
        ("ticket", "[0, 20]", "[0, 15]", "round.step: got 15; allowed: one of the snapshots: 0, 10, 20"),
        ("ticket", "rewind = 0", "rewind = 3", "round.rewind: got 3; allowed: one of the snapshots: 0, 10, 20"),
        ("ticket", "rewind = 0\n", "", "round.rewind: got nothing; allowed: one snapshot to go on from"),
        (
            "ticket",
            "[0.25, 0.5]",
            "[0.001]",
            "apply.prune.keep: got 0.001 of 168 weights; allowed: a share of at least",
        ),
        ("ticket", "[0.25, 0.5]", "[2.0]", "sweep.round.prune.keep: got 2.0; allowed: a finite number above 0 and at"),
        (
            "ticket",
            "prune.keep",
            "prune.keeps",
            "prune.keeps: got a path that does not .*mean 'round.prune.keep'",
        ),
        ("ticket", "[optimizer]", "[model]\nhidden = [9]\n[optimizer]", "got another structure: W_0"),
        ("ticket", "steps = 10\n", "seed = 3\nsteps = 10\n", "change.seed: got a path that the store sweeps"),
        ("ticket", 'kind = "prune"', 'kind = "prone"', r"round.apply\[0\].kind: got 'prone'; .*mean 'prune'"),
        ("again", "keep = 0.5", "keep = 0.1", "apply.prune.keep: got 0.1 of 4 weights of W_0"),
        ("again", "rewind = 0", "rewind = 0\nstep = 20", "round.step: got 20; allowed: one of the snapshots: 0, 10"),
    ],
)
def test_mistakes_are_told_in_a_line_before_anything_is_written(folder, capsys, name, old, new, told):
    file = folder / f"{name}.toml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    assert main(["run", "again.toml", "--quiet"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(told, line)
    assert not (folder / "runs").exists()


def test_later_rounds_look_at_the_last_snapshot(folder):
    (folder / "ticket.toml").write_text(TICKET.replace("rewind = 0", "rewind = 0\ntimes = 2"))
    first, second = chain.links(gd.load("ticket.toml"))
    assert first.found.looked == (0, 0, 20, 20)
    assert second.found.looked == (10, 10)
    assert [begin.apply[0].keep for begin in second.found.beginnings] == [0.25, 0.5]
    assert second.found.which.tolist() == [0, 1] * 4


def test_an_axis_of_a_round_is_for_rounds(folder):
    sweep = gd.Sweep(gd.load("dense.toml").base, {"round.step": [0, 10]})
    with pytest.raises(gd.SpecError, match=r"sweep\.round\.step: got an axis of a round"):
        gd.run(sweep, progress=False)
    with pytest.raises(gd.SpecError, match=r"experiment: got a round; .* gd\.run_round"):
        gd.run(gd.load("ticket.toml"), progress=False)
    assert main(["run", "ticket.toml", "--shard", "1/2"]) == 2


@pytest.mark.slow
def test_a_round_is_planned_with_what_comes_before(folder, capsys):
    assert main(["plan", "again.toml"]) == 0
    assert "runs" in capsys.readouterr().out


RUN = """
import sys
import grokdyn as gd
print("ready", flush=True)
gd.run_round(gd.load("again.toml"), sys.argv[1], progress=False, checkpoint_seconds=0)
"""


def killed(out, delay):
    """Train the chain in a process of its own, kill it after so many seconds; return whether it was not over.

    Args:
        delay: or what tells that it is time.
    """
    process = subprocess.Popen([sys.executable, "-c", RUN, str(out)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    if callable(delay):
        while process.poll() is None and not delay():
            time.sleep(0.002)
    else:
        with suppress(subprocess.TimeoutExpired):
            process.wait(delay)
    over = process.poll() is not None
    process.kill()
    process.communicate()
    return not over


def stage(out):
    """Return how far a chain has come: which store is the last, and whether it is finished."""
    order = [name for name in ("dense", "ticket", "again-round-1", "again") if (out / name / "spec.toml").is_file()]
    return f"{'after' if reading.is_finished(out / order[-1]) else 'within'} {order[-1]}" if order else "before"


def test_a_kill_between_two_rounds_changes_no_bit(whole, folder):
    def dense_is_finished():
        return (folder / "out/dense/manifest.json").exists() and reading.is_finished(folder / "out/dense")

    assert killed(folder / "out/again", dense_is_finished)
    assert stage(folder / "out") in ("after dense", "within ticket")
    same_stores(folder / "out", whole, gd.run_round(gd.load("again.toml"), "out/again", progress=False))


@pytest.mark.slow
def test_thirty_kills_of_a_chain_of_rounds_change_no_bit(whole, folder):
    draw, seen, tries, began = random.Random(30), Counter(), 0, time.monotonic()
    assert not killed(folder / "first", 600)  # never killed, it tells how long a chain takes
    longest = time.monotonic() - began
    while seen.total() < KILLS:
        out, tries = folder / str(tries), tries + 1
        while seen.total() < KILLS and killed(out / "again", draw.uniform(0, longest)):
            seen[stage(out)] += 1
        same_stores(out, whole, gd.run_round(gd.load("again.toml"), out / "again", progress=False))
        shutil.rmtree(out)
    print(dict(seen), "in", tries, "chains")
    assert len(seen) >= 3
