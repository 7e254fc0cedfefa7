"""Whatever labels, paths, messages, streams and the environment hold: plain text, one line, no traceback."""

import io
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import grokdyn as gd
from grokdyn import figures, listing, output, terminal
from grokdyn.cli import fail, main
from grokdyn.engine.host.console import Console
from grokdyn.engine.store.trust import warn_of_untrusted
from grokdyn.plot import style
from tests.cli.test_terminal import results

CONTROLS = ("\x1b[31m", "\x1b]0;title\x07", "\r", "\u202e", "\ud800")
PIECES = (*CONTROLS, "[red]", "[/]", ":smile:", "$x^{2$", "\\", "_", "/..", "a", "é")
HERE = str(Path(gd.__file__).parents[1])
NASTY = st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join)
CODES = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]")


@settings(max_examples=60, deadline=None)
@given(text=NASTY)
def test_text_comes_out_as_it_is(text):
    stream = io.StringIO()
    console = Console(file=stream, width=200, force_terminal=True, color_system=None)
    console.print(text, highlight=False)
    assert not CODES.search(stream.getvalue())
    for kept in ("[red]", "[/]", ":smile:", "$x^{2$"):
        assert stream.getvalue().count(kept) == text.count(kept)


@settings(max_examples=100, deadline=None)
@given(one=NASTY, other=NASTY)
def test_names_of_files_are_safe_and_differ_where_texts_do(one, other):
    names = figures.file_name(f"overview_{one}"), figures.file_name(f"overview_{other}")
    assert (names[0] == names[1]) == (one == other)
    assert re.fullmatch(r"[A-Za-z0-9_+][A-Za-z0-9_.+-]*", names[0])
    assert re.fullmatch(r"[A-Za-z0-9_+-][A-Za-z0-9_.+-]*", figures.file_name(one))
    assert len(figures.file_name(one * 100)) < 140


def nasty_results():
    labels = np.array(["/../../out", "\x1b[31m[red]x[/red]", "$x^{2$ _y"], object)
    return results(a=3, b=3, c=3).assign_coords(a=labels, b=labels, c=[0.12345678, 0.12345679, 1.0])


@pytest.mark.filterwarnings("ignore:Glyph")
def test_a_sweep_over_nasty_labels_is_told_and_drawn_in_its_folder(tmp_path, capsys):
    ds = nasty_results()
    folder = tmp_path / "in/figures"
    names = [path.name for path in figures.draw(ds.isel(c=slice(0, 2)), folder, x="b", y="c")]
    assert len(set(names)) == 3
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]
    terminal.show(ds)
    terminal.show(ds.isel(c=0, drop=True).assign_attrs(axes=["a", "b"]))
    terminal.show(ds[["status"]])
    terminal.describe(ds.assign_attrs(axes=["a", "c"]), {"device_kind": "[b]\x1b[2J", "devices": 1, "finished": True})
    told = capsys.readouterr().out
    assert not CODES.search(told)
    assert "\\x1b[31m[red]x[/red]" in told
    assert "[b]\\x1b[2J" in told
    assert "0.12345679" in told


def test_figures_show_dollars_underscores_and_long_labels(sweep_like, tmp_path):
    labels = ["AdamW($lr$=1, b_2=$x^{2$)", "_hidden", "a very long label " * 6, "\x1b[31mred\n"]
    ds = sweep_like.expand_dims(optimizer=labels).assign_attrs(axes=["optimizer", "seed"])
    for figure in (gd.plot.curves(ds, hue="optimizer"), gd.plot.curves(ds)):
        figure.savefig(io.BytesIO(), format="png", dpi=50)
    texts = [t.get_text() for t in gd.plot.curves(ds, hue="optimizer").legends[0].get_texts()]
    assert " _hidden" in texts
    assert r"\x1b[31mred\n" in texts
    assert max(map(len, texts)) <= style.LONGEST + 5


@pytest.fixture
def sweep_like():
    return results(seed=2).assign_coords(step=[0, 10, 20])


def test_an_error_is_told_in_a_line_without_codes(capsys):
    assert fail("a\x1b[31m\nb", 2) == 2
    assert capsys.readouterr().err == "grokdyn: a\\x1b[31m\\nb\n"


OWN = '''
import grokdyn as gd
class Dead(gd.Probe):
    """Share of [bold]dead[/bold] units, 50 %.

    More of it."""
    share: float = gd.field(gd.rules.Number(), default=0.5, doc="a [red]share")
    must: int = gd.field(gd.rules.Count(), doc="given", kw_only=True)
class Other:
    pass
'''


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "their_parts.py").write_text(OWN)
    yield
    sys.modules.pop("their_parts", None)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("experiment", ["gd.Experiment", "matmul_precision", "none: must be given", "highest", "rows per update"]),
        ("seeds", ["gd.Seeds", "parameters at step 0", "nothing"]),
        ("sweep", ["gd.Sweep", "linspace", "path of a field"]),
        ("their_parts:Dead", ["[bold]dead[/bold]", "More of it.", "a [red]share", "0.5", "must be given"]),
    ],
)
def test_list_tells_all_that_a_spec_is_made_of(name, told, own, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["list", name]) == 0
    shown = capsys.readouterr().out
    for words in told:
        assert words in shown


@pytest.mark.parametrize("name", ["their_parts:Other", "their_parts:None", "not_there:X", "sweeep", "x\x1b[31m"])
def test_what_cannot_be_listed_is_told_in_a_line(name, own, capsys):
    assert main(["list", name]) == 2
    told = capsys.readouterr().err
    assert told.startswith("grokdyn: list: got ")
    assert told.count("\n") == 1
    assert not CODES.search(told)


def test_families_of_the_help_are_those_that_are_listed():
    from grokdyn.parser import FAMILIES

    assert set(FAMILIES) == set(listing.FAMILIES)


def grokdyn(*words, **options):
    environment = {**os.environ, **options.pop("env", {})}
    return subprocess.run([sys.executable, "-m", "grokdyn", *words], env=environment, stderr=subprocess.PIPE, **options)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize(
    ("words", "unbuffered"), [("list seeds", ""), ("--help", "1"), ("quickstart --print-spec", "")]
)
def test_a_full_standard_output_is_told_in_a_line(words, unbuffered):
    with open("/dev/full", "w") as full:
        ended = grokdyn(*words.split(), stdout=full, env={"PYTHONUNBUFFERED": unbuffered})
    assert ended.returncode == 1
    assert ended.stderr.decode() == "grokdyn: standard output: No space left on device\n"


def test_a_closed_standard_output_and_a_reader_that_leaves(tmp_path):
    shell = f"{sys.executable} -m grokdyn list seeds"
    closed = subprocess.run(f"{shell} >&-", shell=True, stderr=subprocess.PIPE)
    assert (closed.returncode, closed.stderr) == (0, b"")
    left = subprocess.run(f"({shell}; echo $? > {tmp_path}/status) | true", shell=True, stderr=subprocess.PIPE)
    assert ((tmp_path / "status").read_text(), left.stderr) == ("0\n", b"")


def test_what_ascii_cannot_write_is_spelled_out(tmp_path):
    (tmp_path / "their_parts.py").write_text(OWN.replace("More of it", "μ ≥ 日本"), encoding="utf-8")
    env = {
        "PYTHONIOENCODING": "ascii",
        "PYTHONPATH": HERE,
    }
    ended = grokdyn("list", "their_parts:Dead", stdout=subprocess.PIPE, cwd=tmp_path, env=env)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"\\u03bc \\u2265 \\u65e5\\u672c" in ended.stdout
    assert b"| share" in ended.stdout


SPEC = """
steps = 2
record = {every = 2}
task = {kind = "modular", p = 5}
model = {kind = "mlp", hidden = [4]}
loss = "mse"
optimizer = "adamw"
"""


@pytest.mark.parametrize(("name", "known"), [("MPLBACKEND", "agg"), ("JAX_PLATFORMS", "cpu")])
def test_a_backend_that_is_not_there_is_told_before_anything_is_written(name, known, tmp_path):
    (tmp_path / "small.toml").write_text(SPEC)
    env = {name: "nothere", "PYTHONPATH": HERE}
    ended = grokdyn("run", "small.toml", stdout=subprocess.PIPE, cwd=tmp_path, env=env)
    told = ended.stderr.decode()
    assert ended.returncode == 2, told
    assert told.startswith(f"grokdyn: {name}: got 'nothere'; allowed: not set")
    assert known in told
    assert told.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["small.toml"]


def test_a_warning_of_ours_is_a_line_and_those_of_others_stay_as_they_are(capsys):
    ds = xr.Dataset({"r": (("step",), [2.0], {"trusted_to": 1.1, "long_name": "R-hat"})}, attrs={"axes": ""})

    @output.warnings_told()
    def both():
        warn_of_untrusted(ds)
        warnings.warn("theirs", UserWarning, stacklevel=1)

    with pytest.warns(UserWarning, match="theirs") as seen:
        both()
    assert len(seen) == 1
    told = capsys.readouterr().err
    assert told.startswith("grokdyn: warning: r: above 1.1 in 1 of 1 run, up to 2; expected at most that")
    assert told.count("\n") == 1
