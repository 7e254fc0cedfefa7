"""What stands in a page: numbers as the store has them, text as text, and what is not there."""

import base64
import json
import re
import shutil
import zlib
from decimal import Decimal

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import grokdyn as gd
from grokdyn.analysis.checks import ArgumentError
from grokdyn.cli import main
from grokdyn.page import pack, sheet
from grokdyn.page.html import page
from tests.engine.test_interrupted import CutError, cut_after
from tests.page import stores

FINITE = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)


def unpacked(block, digits):
    """Return the numbers of a block as decimal text, read independently of the page's script."""
    planes = np.frombuffer(zlib.decompress(base64.b64decode(block)), np.uint8).reshape(6, -1)
    mantissa = np.ascontiguousarray(planes[:4].T).view("<i4").ravel().tolist()
    exponent = np.ascontiguousarray(planes[4:].T).view("<i2").ravel().tolist()
    special = {pack.NAN: "nan", pack.INFINITE: "inf", pack.MINUS_INFINITE: "-inf"}
    return [special.get(e, f"{m}e{e - digits + 1}") for m, e in zip(mantissa, exponent, strict=True)]


@settings(max_examples=50, deadline=None)
@given(values=st.lists(FINITE, min_size=1, max_size=20), digits=st.integers(1, 9))
def test_numbers_are_held_to_half_a_unit_of_the_last_digit(values, digits):
    for value, told in zip(values, unpacked(pack.decimals(np.array(values), digits), digits), strict=True):
        mantissa, _, exponent = told.partition("e")
        assert len(mantissa.lstrip("-")) <= digits
        error = abs(Decimal(told) - Decimal(value))
        assert error <= Decimal("0.500001").scaleb(int(exponent))


def test_numbers_of_a_network_come_out_to_all_digits_shown():
    rng = np.random.default_rng(0)
    values = np.exp(rng.normal(0, 20, 5000)).astype(np.float32).astype(float) * rng.choice([-1, 1], 5000)
    for digits in (4, 5, 7):
        told = unpacked(pack.decimals(values, digits), digits)
        assert [float(t) for t in told] == [float(f"{v:.{digits - 1}e}") for v in values]


def test_what_is_no_number_is_kept_apart():
    values = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 9.9999999, 5e-310, 1.7e308])
    told = unpacked(pack.decimals(values, 5), 5)
    assert told[:3] == ["nan", "inf", "-inf"]
    assert [float(t) for t in told[3:]] == [0, 0, 10.0, 5e-310, 1.7e308]


def told_in(path):
    """Return the JSON of a page."""
    return json.loads(re.search(r'id="about">(.*?)</script>', path.read_text(), re.S)[1])


@pytest.mark.parametrize("name", stores.ALL)
def test_every_shape_of_results_gives_a_page(name, tmp_path):
    ds = stores.ALL[name]()
    told = told_in(gd.report(ds, tmp_path / "page.html"))["sweeps"][0]
    axes = gd.analysis.checks.swept_axes(ds)
    assert told["runs"] == int(np.prod([ds.sizes[axis] for axis in axes]))
    assert told["steps"] == ds["step"].values.tolist()
    assert {v["name"] for v in told["variables"]} >= set(map(str, ds.data_vars))


def test_text_of_a_spec_is_text(tmp_path):
    text = gd.report(stores.five_axes(), tmp_path / "page.html", title="<script>x</script>").read_text()
    assert text.count("<script") == text.count("</script>")
    for harm in ("<img", "</pre><script", "<script>x", "<b>"):
        assert harm not in text
    assert "script-src &#x27;sha256-" in text


def test_what_is_too_much_is_thinned_and_told():
    ds = stores.ended()
    most = ds["test_loss"].size // 2
    made = sheet(ds, "s", 5, most=most)
    recorded = [v["name"] for v in made.told["variables"] if v["recorded"]]
    assert len(recorded) == 1
    assert made.told["steps"][0] == 0
    assert made.told["steps"][-1] == ds["step"].values[-1]
    told = " ".join(made.notes)
    assert f"Of {ds.sizes['step']} records the page holds {len(made.told['steps'])}" in told
    assert "weight_norm_per_tensor (8 x 8 x 3 x 11 x 2)" in told


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "s"
    exp = gd.Experiment(
        task=gd.ModularArithmetic(p=5),
        model=gd.MLP(hidden=(4,)),
        loss=gd.MSE(),
        optimizer=gd.AdamW(learning_rate=0.01),
        steps=4,
        record=gd.Every(2),
    )
    gd.run(gd.Sweep(exp, {"optimizer.weight_decay": [0.0, 1.0], "seed": [0, 1, 2]}), out=folder, progress=False)
    return folder


def test_the_command_writes_it_into_the_store(store, capsys):
    assert main(["report", str(store)]) == 0
    path = store / "report.html"
    assert capsys.readouterr().out.strip() == str(path)
    told = told_in(path)["sweeps"][0]
    assert told["facts"]["finished"] == "yes"
    assert "grokdyn" in told["facts"]["versions"]
    assert "[task]" in told["spec"]
    ds = gd.open(store)
    at = next(v for v in told["variables"] if v["name"] == "test_loss")["block"]
    block = re.search(rf'id="b0_{at}">(.*?)</script>', path.read_text())[1]
    digits = told["digits"]
    assert [float(t) for t in unpacked(block, digits)] == [
        float(f"{v:.{digits - 1}e}") for v in ds["test_loss"].values.ravel()
    ]


def test_an_unfinished_store_gives_a_page_of_what_is_there(store, tmp_path, monkeypatch, capsys):
    path = tmp_path / "s"
    sweep = gd.Sweep.from_toml((store / "spec.toml").read_text())
    with monkeypatch.context() as patch:
        cut_after(patch, 1)
        with pytest.raises(CutError):
            gd.run(sweep, out=path, progress=False, checkpoint_seconds=0)
    assert main(["report", str(path)]) == 0
    told = told_in(path / "report.html")["sweeps"][0]
    assert told["facts"]["finished"] == "no"
    assert told["facts"]["runs"] == "6: 0 done, 0 diverged, 6 to come"
    whole = told_in(gd.report(store))["sweeps"][0]
    assert {v["name"] for v in told["variables"]} == {v["name"] for v in whole["variables"]}


def test_a_damaged_store_gives_a_page_that_says_so(store, tmp_path, capsys):
    broken = tmp_path / "s"
    shutil.copytree(store, broken)
    file = next(f for f in (broken / "results.zarr" / "test_loss" / "c").rglob("*") if f.is_file())
    file.write_bytes(b"junk")
    assert main(["report", str(broken)]) == 2
    assert "--anyway" in capsys.readouterr().err
    assert main(["report", str(broken), "--anyway"]) == 0
    assert "Damaged: of 6 runs something is lost" in (broken / "report.html").read_text()


def test_a_folder_of_stores_has_its_claims(store, tmp_path):
    for name in ("one", "two"):
        shutil.copytree(store, tmp_path / name)
    claims = [
        {
            "claim": "a < b",
            "verdict": "holds",
            "measured": [1.0, None, "never"],
            "unit": "steps",
            "agrees": [0.5, None],
        },
        {"claim": "later", "verdict": "does not hold", "interval": [0.1, 0.2], "nested": {"a": 1}},
    ]
    (tmp_path / "claims.json").write_text(json.dumps(claims))
    path = gd.report(tmp_path)
    text = path.read_text()
    assert "a &lt; b" in text
    assert "1 steps 1 never, 1 undecided; agrees at least 0.5" in text
    assert "interval 0.1 to 0.2" in text
    assert [s["name"] for s in json.loads(re.search(r'id="about">(.*?)</script>', text, re.S)[1])["sweeps"]] == [
        "one",
        "two",
    ]


def test_what_has_no_results_is_told_in_a_line(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert "has no results; allowed: the folder of a store" in capsys.readouterr().err
    with pytest.raises(ArgumentError, match="threshold=90"):
        gd.report(stores.alone(), tmp_path / "x.html", threshold=90)
    with pytest.raises(ArgumentError, match="expected a Dataset, several by name or a folder, got int"):
        gd.report(3)
    assert not list(tmp_path.iterdir())


def test_a_page_without_sweeps_is_one():
    assert "<h1>nothing</h1>" in page("nothing", [])


def test_axes_of_points_come_from_what_runs_along_them(tmp_path):
    ds = stores.points()
    told = told_in(gd.report(ds, tmp_path / "p.html"))["sweeps"][0]
    assert [axis["name"] for axis in told["axes"]] == ["run", "learning_rate", "weight_decay"]
    rates = next(axis for axis in told["axes"] if axis["name"] == "learning_rate")
    np.testing.assert_array_equal(rates["numbers"], np.sort(ds["learning_rate"]))
    assert xr.Dataset.equals(ds, stores.points())
