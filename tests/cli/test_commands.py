"""What a user types, and what comes of it."""

import json
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr

import grokdyn as gd
from grokdyn import boundary_command
from grokdyn.cli import main
from grokdyn.outcome import next_step
from grokdyn.spec import plane
from tests import quick

EXPERIMENTS = Path(__file__).parents[2] / "experiments"

SPEC = """
steps = 20
record = {every = 5}
[task]
kind = "modular"
p = 7
[model]
kind = "mlp"
hidden = [8]
[loss]
kind = "mse"
[optimizer]
kind = "adamw"
[sweep]
"optimizer.weight_decay" = [0.0, 1.0, 2.0]
"task.train_fraction" = [0.3, 0.5, 0.7]
seed = [0, 1]
[scale.smoke]
steps = 10
"sweep.seed" = [5]
"""


@pytest.fixture
def spec(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "small.toml"
    path.write_text(SPEC)
    return path


def test_three_short_axes_are_drawn_in_a_figure_for_each_value_of_the_first(tmp_path):
    short = SPEC.replace("[0.0, 1.0, 2.0]", "[0.0, 1.0]").replace("[0.3, 0.5, 0.7]", "[0.3, 0.5]")
    (tmp_path / "three.toml").write_text(short.replace("[sweep]", '[sweep]\n"optimizer.b2" = [0.9, 0.99]'))
    assert main(["run", str(tmp_path / "three.toml"), "--out", str(tmp_path / "s"), "--quiet"]) == 0
    drawn = sorted(file.name for file in (tmp_path / "s/figures").iterdir())
    assert drawn == [f"curves_{what}_b2_{b2}.png" for what in ("accuracy", "loss") for b2 in ("0.9", "0.99")]


def test_run_trains_tabulates_and_draws(spec, tmp_path, capsys):
    assert main(["run", str(spec)]) == 0
    shown = capsys.readouterr().out
    assert "test accuracy after 20 steps, mean over 2 seeds" in " ".join(shown.split())
    assert "runs/small" in shown
    ds = gd.open("runs/small")
    assert dict(ds.sizes) == {"weight_decay": 3, "train_fraction": 3, "seed": 2, "step": 5, "tensor": 2}
    assert (tmp_path / "runs/small/figures/overview.png").stat().st_size > 10_000
    assert xr.open_zarr("runs/small/results.zarr").load().identical(ds)
    assert main(["run", str(spec), "--no-figures", "--quiet"]) == 0
    assert (tmp_path / "runs/small-2/spec.toml").is_file()
    assert not (tmp_path / "runs/small-2/figures").exists()


def test_overrides_set_fields_and_fix_axes(spec):
    overrides = ["--optimizer.weight-decay", "0.5", "--sweep.seed=[3]", "--model.hidden", "[4, 4]"]
    assert main(["run", str(spec), "--out", "here", "--scale", "smoke", *overrides, "--quiet"]) == 0
    ds = gd.open("here")
    assert "weight_decay" not in ds.dims
    assert ds.seed.values.tolist() == [3]
    assert ds.step.values[-1] == 10
    assert list(ds.tensor.values) == ["W_0", "W_1", "W_2"]
    manifest = json.loads(Path("here/manifest.json").read_text())
    assert manifest["finished"]
    assert [session["compiles"] for session in manifest["sessions"]] == [1]


def test_plot_info_and_list(spec, capsys):
    assert main(["run", str(spec), "--out", "here", "--quiet", "--no-figures"]) == 0
    assert main(["plot", "here"]) == 0
    assert main(["plot", "here", "--value", "test_loss", "--format", "pdf"]) == 0
    assert sorted(p.name for p in Path("here/figures").iterdir()) == ["diagram_test_loss.pdf", "overview.png"]
    capsys.readouterr()
    assert main(["info", "here"]) == 0
    assert "18: 18 done, 0 diverged, 0 to come" in capsys.readouterr().out
    assert main(["info", "here", "--cache"]) == 2
    assert "got 'here' and --cache; allowed: one of them" in capsys.readouterr().err
    shutil.rmtree("here/results.zarr")
    assert main(["info", "here"]) == 0
    assert "yes, but of 18 runs something is lost: grokdyn resume" in " ".join(capsys.readouterr().out.split())
    assert main(["plot", "here"]) == 2
    assert "got 'here', without any record; allowed: a store with some: grokdyn resume here" in capsys.readouterr().err
    assert main(["list"]) == 0
    assert main(["list", "optimizers"]) == 0
    told = capsys.readouterr().out
    assert "weight_decay" in told
    assert "The authors leave embeddings" not in told
    assert main(["list", "muon"]) == 0
    assert "The authors leave embeddings" in " ".join(capsys.readouterr().out.split())
    assert main(["list", "stops"]) == 0
    assert "stalled" in capsys.readouterr().out
    assert main(["list", "optimiser"]) == 2
    assert "did you mean 'optimizers'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--keep", "0.4"], "--keep: got 0.4 without --apply; allowed: with --apply prune or rescale or keep_rows"),
        (["--apply", "prune", "--factor", "2"], "--factor: got 2 for --apply prune; allowed: with --apply rescale"),
    ],
)
def test_an_option_of_fork_without_what_takes_it_is_refused(options, told, capsys):
    assert main(["fork", "nowhere", *options]) == 2
    assert capsys.readouterr().err == f"grokdyn: {told}\n"


def test_the_module_is_the_command(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["grokdyn", "list", "records"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("grokdyn", run_name="__main__")
    assert ended.value.code == 0
    assert "log_spaced" in capsys.readouterr().out


OWN = """
import grokdyn as gd

class Nothing(gd.Probe):
    def variables(self, shapes):
        return {"nothing": gd.Variable("nothing", units="1")}

    def measure(self, view):
        return {"nothing": 0.0}
"""


def test_the_installed_command_and_its_workers_find_classes_of_the_working_directory(spec, tmp_path):
    spec.write_text("probes = [{kind = 'my_probes:Nothing'}]\n" + SPEC)
    (tmp_path / "my_probes.py").write_text(OWN)
    for arguments in (["run", spec, "--scale", "smoke", "--out", "here", "--cluster", "local:1"], ["resume", "here"]):
        command = [Path(sys.executable).with_name("grokdyn"), *arguments, "--quiet", "--no-figures"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=quick.environment())
        assert (done.returncode, done.stdout) == (0, "here\n"), done.stderr
    assert "nothing" in xr.open_zarr("here/results.zarr")


MISTAKES = {
    "unknown key": (["--stepz", "3"], "stepz: got an unknown key", "did you mean 'steps'"),
    "wrong type": (["--steps", "many"], "steps: got 'many'", "whole number"),
    "out of range": (["--optimizer.learning-rate", "-1"], "optimizer.learning_rate: got -1", "at least 0"),
    "empty axis": (["--sweep.seed", "[]"], "sweep.seed: got []", "at least one value"),
    "duplicate axis value": (["--sweep.seed", "[1, 1]"], "sweep.seed[1]: got 1 a second time", "each value once"),
    "no such path": (
        ["--sweep.optimizer.decay", "[1]"],
        "optimizer.decay: got a path that does not exist",
        "weight_de",
    ),
    "composite modulus": (["--task.op", "div", "--task.p", "6"], "task.p: got 6", "prime"),
    "no steps": (["--steps", "0"], "steps: got 0", "from 1"),
    "no value": (["--steps"], "--steps: got nothing", "a value"),
    "unknown kind": (["--loss.kind", "mze"], "loss.kind: got 'mze'", "did you mean 'mse'"),
    "unknown scale": (["--scale", "smok"], "scale: got 'smok'", "did you mean 'smoke'"),
    "part swept as a whole": (
        ["--sweep.optimizer", "['adamw', 'sgd']", "--optimizer.learning-rate", "0.5"],
        "optimizer.learning_rate: got 0.5",
        "set sweep.optimizer",
    ),
    "batch too large": (["--batch-size", "40"], "batch_size: got 40", "train rows, 14"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_in_a_line_and_writes_nothing(name, spec, tmp_path, capsys):
    arguments, told, allowed = MISTAKES[name]
    assert main(["run", str(spec), *arguments]) == 2
    message = capsys.readouterr().err.strip()
    assert told in message
    assert allowed in message
    assert len(message.splitlines()) <= 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["small.toml"]


def test_mistakes_of_files_and_folders(spec, tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thing").write_text("")
    (tmp_path / "broken.toml").write_text("steps = = 3")
    (tmp_path / "latin.toml").write_bytes(b"steps = '\xe9'")
    for arguments, told in (
        (["run", "broken.toml"], "broken TOML"),
        (["run", "latin.toml"], "UTF-8"),
        (["run", "absent.toml"], "absent.toml"),
        (["run", "."], "."),
        (["run", "small.toml", "--out", "full"], "not empty"),
        (["run", "small.toml", "--out", "full/thing"], "is a file"),
        (["run", "small.toml", "--out", "full/thing/below"], "cannot be written"),
        (["plot", "full"], "not a store"),
        (["info", "absent"], "not a store"),
        (["reproduce", "full", "--scale", "smoke"], "no experiment"),
    ):
        assert main(arguments) == 2, arguments
        message = capsys.readouterr().err.strip()
        assert told in message
        assert len(message.splitlines()) <= 2
    assert sorted(p.name for p in (tmp_path / "full").iterdir()) == ["thing"]


def test_a_plot_of_what_is_not_there_names_the_nearest(spec, capsys):
    assert main(["run", str(spec), "--out", "here", "--quiet", "--no-figures"]) == 0
    for arguments in (["--value", "tset_loss"], ["--x", "train_fractoin"], ["--threshold", "90"]):
        assert main(["plot", "here", *arguments]) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_plot_of_a_store_with_nothing_to_draw_names_what_can_be(spec, capsys):
    spec.write_text("probes = ['weight_norm']\n" + SPEC)
    assert main(["run", str(spec), "--out", "here", "--quiet"]) == 0
    assert main(["plot", "here"]) == 2
    told = capsys.readouterr().err
    assert "got 'here', without accuracies and losses; allowed: --value and one of " in told
    assert "weight_norm" in told
    assert not Path("here/figures").exists()


def test_a_boundarys_options_are_the_fields_of_its_table():
    """They are written down apart, so that the parser needs no JAX."""
    assert set(boundary_command.HELP) == set(plane.FIELDS)


def test_help_needs_no_jax():
    call = "try: grokdyn.cli.main(['--help'])\nexcept SystemExit: pass"
    code = f"import sys, grokdyn.cli\n{call}\nprint('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("False")


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*/*.toml")), ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_experiment_reads_at_every_scale(path):
    for scale in ("smoke", "cpu", "full"):
        assert gd.load(path, scale) is not None


@pytest.mark.slow
def test_the_doshi_diagram_runs_at_its_smoke_scale(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["run", str(EXPERIMENTS / "doshi_phases/spec.toml"), "--scale", "smoke", "--quiet"]) == 0
    ds = gd.open("runs/doshi_phases")
    best = ds.test_accuracy.isel(step=-1).sel(weight_decay=5, label_noise=0.1, train_fraction=0.9)
    assert float(best) > 0.95  # generalises through corrupted labels
    assert len(list((tmp_path / "runs/doshi_phases/figures").iterdir())) == 2


def test_what_the_last_line_offers_of_a_grid_is_a_command(spec, capsys):
    axes = {"optimizer.weight_decay": [0.0, 0.5, 1.0, 2.0], "task.train_fraction": [0.3, 0.5, 0.7, 0.8]}
    found = gd.run(gd.Sweep(gd.load(spec).base, {**axes, "seed": [0]}), out="grid", progress=False)
    assert "more seeds" in next_step(found, Path("grid"))
    found["test_accuracy"][2:] = 1.0
    command, _, told = next_step(found, Path("grid")).partition("; ")[2].partition(" finds ")
    assert told == "the edge of generalisation"
    assert main([*shlex.split(command)[1:], "--seeds", "1", "--no-figures"]) == 2
    assert "'test_accuracy >= 0.9': all 16 runs answer no, so no boundary" in capsys.readouterr().err
