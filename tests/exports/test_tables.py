"""Tables hold the numbers of the results: read again, they are the same."""

import numpy as np
import pandas as pd
import pytest

import grokdyn as gd
from grokdyn.analysis.apart import with_points
from grokdyn.analysis.checks import ArgumentError
from tests.page import stores

# Later ones always read floats to the last bit.
EXACT = {"float_precision": "round_trip"} if int(pd.__version__.split(".")[0]) < 3 else {}


def read(path):
    return pd.read_csv(path, **EXACT) if path.suffix == ".csv" else pd.read_parquet(path)


def formats():
    """Return the formats of tables."""
    absent = pytest.mark.skipif(not has("pyarrow"), reason="no pyarrow here: the extra parquet")
    return ["csv", pytest.param("parquet", marks=absent)]


def has(module):
    import importlib.util

    return importlib.util.find_spec(module) is not None


@pytest.mark.parametrize("to", formats())
@pytest.mark.parametrize("name", ["ended", *stores.ALL])
def test_what_is_read_again_is_what_was_written(name, to, tmp_path):
    ds = (stores.ALL | {"ended": stores.ended})[name]()
    paths = {path.stem: path for path in gd.export(ds, to, tmp_path)}
    ds = with_points(ds)
    axes = gd.analysis.checks.swept_axes(ds) or ("run",)
    source = ds if "run" in ds.dims or axes != ("run",) else ds.expand_dims("run")
    found = read(paths["records"])
    for variable in ("train_loss", "test_accuracy"):
        if variable in ds:
            values = source[variable].transpose(*axes, "step").values.reshape(-1, ds.sizes["step"])
            run, record = found["run"].values, np.searchsorted(ds["step"].values, found["step"].values)
            np.testing.assert_array_equal(found[variable].values, values[run, record])
            assert np.isfinite(values).sum() == found[variable].notna().sum()
    runs = read(paths["runs"])
    assert list(runs["run"]) == list(range(len(runs)))
    for axis in axes:
        if axis in ds.coords and axis not in ("run", "point"):
            assert set(runs[axis]) == set(ds[axis].values.tolist())
    assert ("weight_norm_per_tensor" in ds) == ("records_weight_norm_per_tensor" in paths)


@pytest.mark.parametrize("to", formats())
def test_types_are_those_of_the_results(to, tmp_path):
    ds = stores.ended()
    paths = {path.stem: path for path in gd.export(ds, to, tmp_path)}
    runs, norms = read(paths["runs"]), read(paths["records_weight_norm_per_tensor"])
    assert runs["seed"].dtype.kind == runs["status"].dtype.kind == "i"
    assert runs["weight_decay"].dtype.kind == "f"
    assert set(runs["phase"].dropna()) <= {*gd.analysis.classify.PHASES, ""}
    times = gd.analysis.grokking_time(ds)["step_test"].values.ravel()
    np.testing.assert_array_equal(runs["step_test"], times)
    assert set(norms["tensor"]) == {"hidden/kernel", "readout/kernel"}
    assert len(norms) == int(ds["weight_norm_per_tensor"].notnull().sum())


@pytest.mark.skipif(not (has("pyarrow") and has("polars")), reason="no pyarrow and polars here")
def test_polars_reads_parquet_with_the_same_types(tmp_path):
    import polars

    paths = {path.stem: path for path in gd.export(stores.ended(), "parquet", tmp_path)}
    table = polars.read_parquet(paths["runs"])
    assert table.schema["seed"] == polars.Int64
    assert table.schema["step_test"] == polars.Float64
    assert table.schema["phase"] == polars.String


def test_a_mistake_is_told_in_a_line(tmp_path):
    ds = stores.one_run()
    with pytest.raises(ArgumentError, match="to='exel': expected one of csv"):
        gd.export(ds, "exel", tmp_path)
    with pytest.raises(ArgumentError, match="only a store with snapshots has; got a Dataset"):
        gd.export(ds, "safetensors", tmp_path)
    with pytest.raises(ArgumentError, match=r"run, step: choose parameters"):
        gd.export(ds, "csv", tmp_path, run=3)
    with pytest.raises(ArgumentError, match="expected a Dataset or the folder of a store, got int"):
        gd.export(3, "csv")
    assert not list(tmp_path.iterdir())


def test_a_format_without_its_package_names_the_extra(tmp_path, monkeypatch):
    from grokdyn.exports.export import importlib as its

    monkeypatch.setattr(its.util, "find_spec", lambda name: None)
    with pytest.raises(ArgumentError, match=r"needs the package wandb; pip install 'grokdyn\[wandb\]'"):
        gd.export(stores.one_run(), "wandb", tmp_path)
