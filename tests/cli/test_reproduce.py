"""An experiment folder: its sweeps, its claims, its figure."""

import json

import numpy as np
import pytest
import xarray as xr

import grokdyn as gd
from grokdyn.analysis.claims import OPEN, again, crossing, interpolated_step
from grokdyn.cli import main
from grokdyn.reproduce import keep
from tests.cli.test_commands import SPEC

CLAIMS = """
import grokdyn as gd
from grokdyn.analysis.claims import Claim, Median

def claims(results):
    loss = results["spec"].train_loss
    fell = loss.isel(step=-1) / loss.isel(step=0)
    return [Claim("training lowers the loss", "calculus", "below 1", Median(fell), (0, 1.0))]

def figure(results):
    return gd.plot.phase_diagram(results["spec"], x="train_fraction", y="weight_decay")
"""


def test_a_step_is_interpolated_between_records_and_inf_where_never_reached():
    values = xr.DataArray([[0, 0.2, 0.6, 0.1], [0, 0, 0, 0.1], [0.7, 0, 0, 0]], dims=("seed", "step"))
    values = values.assign_coords(step=[0, 10, 20, 30])
    np.testing.assert_allclose(interpolated_step(values, 0.5), [17.5, np.inf, 0])
    np.testing.assert_array_equal(crossing(values, 0.5), [[10, 30, 0], [20, np.inf, 0]])


def toy(place, monkeypatch):
    """Return an experiment folder below the place, which is the working directory from now on."""
    monkeypatch.chdir(place)
    folder = place / "toy"
    folder.mkdir()
    (folder / "spec.toml").write_text(SPEC)
    (folder / "claims.py").write_text(CLAIMS)
    return folder


def test_reproduce_runs_once_and_writes_claims_and_figure(tmp_path, monkeypatch, capsys):
    folder = toy(tmp_path, monkeypatch)
    assert main(["reproduce", "toy", "--scale", "full", "--quiet", "--keep"]) == 0
    assert "holds" in capsys.readouterr().out
    out = tmp_path / "runs/toy-full"
    first = (out / "spec/results.zarr/zarr.json").stat().st_mtime_ns
    assert main(["reproduce", "toy", "--scale", "full", "--quiet"]) == 0
    assert (out / "spec/results.zarr/zarr.json").stat().st_mtime_ns == first
    told = json.loads((out / "claims.json").read_text())
    assert told["claims"][0]["verdict"] == "holds"
    made = told["made"]
    assert (made["experiment"], made["scale"], made["runs"]) == ("toy", "full", 18)
    assert made["seconds"] > 0
    assert again((out / "claims.json").read_text())[0][0].verdict == "holds"
    assert sorted(p.name for p in (folder / "results/full").iterdir()) == ["claims.json", "claims.md", "figure.png"]
    assert main(["reproduce", "toy", "--scale", "cpu", "--quiet"]) == 2


def test_the_smoke_scale_measures_and_decides_nothing(tmp_path, monkeypatch, capsys):
    toy(tmp_path, monkeypatch)
    assert main(["reproduce", "toy", "--scale", "smoke", "--quiet"]) == 0
    (found,) = json.loads((tmp_path / "runs/toy-smoke/claims.json").read_text())["claims"]
    assert (found["verdict"], found["seeds"], found["needed_seeds"]) == (OPEN, 9, None)
    assert found["estimate"] < 1
    told = capsys.readouterr().out
    assert OPEN in " ".join(told.split())
    assert "holds" not in told


def test_a_full_disk_is_told_in_a_line_and_leaves_what_was_written_before(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder, out = tmp_path / "toy", tmp_path / "runs/toy-smoke"
    folder.mkdir()
    (folder / "spec.toml").write_text(SPEC)
    (folder / "claims.py").write_text(CLAIMS)
    command = ["reproduce", "toy", "--scale", "smoke", "--quiet"]
    assert main([*command, "--keep"]) == 0
    before = {file: file.read_bytes() for file in (*out.glob("*.*"), *folder.glob("results/smoke/*"))}
    assert len(before) == 7

    def full(*_):
        raise OSError(28, "No space left on device")

    (folder / "claims.py").write_text(CLAIMS.replace("lowers the loss", "lowers it"))
    capsys.readouterr()
    monkeypatch.setattr("os.fsync", full)
    assert main(command) == 2
    told = "grokdyn: out: cannot write to 'runs/toy-smoke': No space left on device; what was finished before is kept\n"
    assert capsys.readouterr().err == told
    with pytest.raises(gd.StoreError, match=r"cannot write to '.*toy/results/smoke'"):
        keep(folder, "smoke", out)
    assert {file: file.read_bytes() for file in (*out.glob("*.*"), *folder.glob("results/smoke/*"))} == before


def test_a_sweep_that_another_reproduction_has_finished_is_copied(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("toy", "twin"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "spec.toml").write_text(SPEC)
        (tmp_path / name / "claims.py").write_text(CLAIMS)
    twin = ["reproduce", "twin", "--scale", "smoke", "--quiet", "--reuse", "runs/toy-smoke"]
    assert main(twin) == 2
    told = "got 'runs/toy-smoke'; allowed: the folder of a reproduction that has finished one of spec"
    assert told in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
    assert main(["reproduce", "toy", "--scale", "smoke", "--quiet"]) == 0
    monkeypatch.setattr("grokdyn.engine.chain.run", None)
    assert main(twin) == 0
    assert main(twin) == 0
    assert sorted(p.name for p in (tmp_path / "runs/twin-smoke").iterdir()) == sorted(
        p.name for p in (tmp_path / "runs/toy-smoke").iterdir()
    )
    xr.testing.assert_identical(*(gd.open(f"runs/{name}-smoke/spec") for name in ("toy", "twin")))
