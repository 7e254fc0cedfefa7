"""Mistakes in the options are told in a line, before JAX is imported."""

import subprocess
import sys

import pytest

from grokdyn import bench


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (
            ["--case", "p22"],
            ("'p22'", "p23, doshi, p113, encoder, transformer, batch_norm, sequences, cnn", "did you mean 'p23'?"),
        ),
        (["--lanes", "0"], ("--lanes", "1 to 4096")),
        (["--lanes", "many"], ("--lanes", "many")),
        (["--rounds", "0"], ("--rounds", "from 1")),
        (["--seconds", "nan"], ("--seconds", "above 0")),
        (["--json", "/nowhere/at/all.json"], ("--json", "a folder that you may write")),
        (["--fast"], ("--fast",)),
    ],
)
def test_a_mistake_is_one_line_and_status_2(argv, words, capsys):
    assert bench.main(argv) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert all(word in shown.err for word in words)


def test_help_names_the_cases(capsys):
    assert bench.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("p23", "doshi", "p113", "--no-torch"))


def test_importing_and_refusing_need_no_jax():
    code = "import sys; from grokdyn import bench; bench.main(['--case', 'x']); assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
