"""Reading results needs no code but this package's, and runs none."""

import importlib
import json
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pytest
import xarray as xr

import grokdyn as gd
from grokdyn.analysis.checks import swept_axes
from grokdyn.cli import main
from grokdyn.engine.machines import here
from grokdyn.engine.store import collect, reading
from grokdyn.engine.store import folder as store
from tests import cases, quick

MODULE = """
import pathlib
import grokdyn as gd
import jax.numpy as jnp
pathlib.Path(__file__).with_name("ran").touch()

class Last(gd.Probe):
    def variables(self, shapes):
        return {"last": gd.Variable("number of tensors", units="1", dims=("half",), coordinates={"half": ["a", "b"]})}

    def measure(self, view):
        return {"last": jnp.full(2, len(view.params), jnp.float64)}

def larger(a, b):
    return a * (a > b) + b * (a <= b)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Return a module of a user's own, and a function that takes it away."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "my_parts.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()

    def away(keep=False):
        sys.modules.pop("my_parts", None)
        (folder / "ran").unlink(missing_ok=True)
        if not keep:
            shutil.rmtree(folder)
            importlib.invalidate_caches()
        return folder / "ran"

    yield importlib.import_module("my_parts"), away
    sys.modules.pop("my_parts", None)


def sweep_of(own, **changes):
    base = cases.tiny(steps=2, record=gd.Every(1), snapshots=(0, 2), probes=("loss", "accuracy", own.Last()), **changes)
    return gd.Sweep(base, {"task.op": ["add", own.larger], "seed": [3, 4]})


def test_results_are_read_without_the_module_that_made_them(own, tmp_path, monkeypatch, capsys):
    module, away = own
    path = tmp_path / "s"
    with monkeypatch.context() as patch:
        patch.setattr(store, "finish", lambda path, found: None)
        patch.setattr(store, "settle", lambda path: None)
        patch.setattr(collect, "open_store", lambda path: None)
        gd.run(sweep_of(module), out=path, progress=False)
    half = shutil.copytree(path, tmp_path / "half")
    found = gd.resume(path, progress=False)
    assert found["op"].values.tolist() == ["add", "larger"]
    mark = away(keep=True)
    for place in (path, half):
        assert gd.open(place).identical(found)
        for words in (["info"], ["plot"]):
            assert main([words[0], str(place), *words[1:]]) == 0
            assert words != ["info"] or "my_parts:larger" in capsys.readouterr().out
    assert gd.resume(path, progress=False).identical(found)
    assert "my_parts:larger" in gd.open(half).attrs["spec"]
    assert not mark.exists(), "nothing was imported"
    assert gd.probe(path, ["weight_norm"]).weight_norm.notnull().all()
    away()
    for use in (lambda: gd.probe(path, ["weight_norm"]), lambda: gd.resume(half), lambda: gd.fork(path, 0, 2, {})):
        with pytest.raises(gd.StoreError, match=r"my_parts.*No module named 'my_parts'.* gd\.open") as raised:
            use()
        assert "damaged" not in str(raised.value)
        assert "remove" not in str(raised.value)


def test_what_no_other_process_can_import_is_warned_of_before_training(tmp_path):
    """A function within a function, a lambda: results stay readable, and that is all that is asked."""

    def slower(a, b):
        return a + b

    for i, op in enumerate((slower, lambda a, b: a + b)):
        base = cases.tiny(steps=1, record=gd.Every(1)).replace(task=gd.ModularArithmetic(p=5, op=op))
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            found = gd.run(base, out=tmp_path / str(i), progress=False)
        told = [str(warning.message) for warning in warned]
        assert len(told) == 1
        assert f"{op.__qualname__}: cannot be imported by another process" in told[0]
        assert warned[0].filename == __file__
        assert gd.open(tmp_path / str(i)).identical(found)
        assert gd.resume(tmp_path / str(i)).identical(found)
    with pytest.raises(gd.SpecError, match=r"something that cannot be written down; allowed: .* where others train"):
        here.create(gd.Sweep(base, {}), tmp_path / "shared", batches=2)
    assert not (tmp_path / "shared").exists()


SCRIPT = """
import sys
import grokdyn as gd

def larger(a, b):
    return a * (a > b) + b * (a <= b)

if __name__ == "__main__":
    exp = gd.Experiment(gd.ModularArithmetic(p=5, op=larger), gd.MLP(hidden=(4,)), gd.CrossEntropy(), gd.AdamW(), 2)
    gd.run(exp, out=sys.argv[1], progress=False)
"""


def test_a_store_of_a_script_is_opened_by_another_process(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    command, told = [sys.executable, tmp_path / "script.py", tmp_path / "s"], {"capture_output": True, "text": True}
    ran = subprocess.run(command, env=quick.environment(), **told)
    assert ran.returncode == 0, ran.stderr
    assert "__main__:larger: cannot be imported by another process" in ran.stderr
    assert gd.open(tmp_path / "s").train_loss.notnull().all()
    (tmp_path / "s/spec.toml").unlink()
    assert gd.open(tmp_path / "s").train_loss.notnull().all()


def test_a_store_that_names_another_makers_module_runs_nothing(own, tmp_path, monkeypatch):
    """The module lies on the path, as it does in the working directory; the manifest's checksums are its maker's."""
    module, away = own
    gd.run(sweep_of(module), out=tmp_path / "s", progress=False)
    mark = away(keep=True)
    known = reading.read_manifest(tmp_path / "s")
    for old in (False, True):
        entries = {name: value for name, value in known.items() if not (old and name in ("axes", "seal"))}
        if old:
            (tmp_path / "s/manifest.json").write_text(json.dumps({**entries, "schema": 1, "finished": False}))
            shutil.rmtree(tmp_path / "s/results.zarr")
            with pytest.raises(gd.StoreError, match="nothing of somebody's own is imported"):
                gd.open(tmp_path / "s")
        else:
            assert np.isfinite(gd.open(tmp_path / "s").train_loss).all()
    assert not mark.exists()


def test_results_go_to_netcdf_and_back(tmp_path):
    """All attributes are plain; analysis and plots read both forms of the axes, and the list of earlier versions."""
    for swept in ({}, {"seed": [5]}, {"optimizer.weight_decay": [0.0, 1.0], "loss": [gd.MSE()], "seed": [0, 1]}):
        found = gd.run(gd.Sweep(cases.tiny(steps=2, record=gd.Every(1)), swept), out=tmp_path / str(len(swept)))
        found.to_netcdf(tmp_path / "x.nc")
        with xr.open_dataset(tmp_path / "x.nc") as again:
            assert again.identical(found)
        place = tmp_path / str(len(swept)) / "results.zarr/zarr.json"
        told = json.loads(place.read_text())
        told["attributes"]["axes"] = found.attrs["axes"].split()
        place.write_text(json.dumps(told))
        (tmp_path / str(len(swept)) / "manifest.json").unlink()
        older = gd.open(tmp_path / str(len(swept)))
        assert older.identical(found)
        listed = found.assign_attrs(axes=found.attrs["axes"].split())
        for ds in (found, listed):
            assert set(gd.analysis.grokking_time(ds).step_test.dims) == set(found.attrs["axes"].split())
            assert swept_axes(ds) == tuple(path.rpartition(".")[2] for path in swept)


def test_commands_that_read_do_not_look_for_modules_in_the_working_directory(tmp_path, monkeypatch):
    """A folder from elsewhere may hold one with the name of what a library would use if it were installed."""
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    for words in (["info", "nothing"], ["plot", "nothing"]):
        assert main(words) == 2
        assert "" not in sys.path
    assert main(["resume", str(tmp_path / "nothing")]) == 2
    assert "" in sys.path
