"""Every experiment runs at its smoke scale: its sweeps, its claims, its figure."""

import json
from pathlib import Path

import pytest

from grokdyn.analysis.claims import FAILS, HOLDS, OPEN
from grokdyn.cli import main

FOLDERS = sorted(path.parent for path in (Path(__file__).parents[2] / "experiments").glob("*/claims.py"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_an_experiment_reproduces_at_its_smoke_scale(folder, tmp_path):
    assert main(["reproduce", str(folder), "--scale", "smoke", "--out", str(tmp_path / "out"), "--quiet"]) == 0
    claims = json.loads((tmp_path / "out/claims.json").read_text())
    assert claims
    assert {claim["verdict"] for claim in claims} <= {HOLDS, FAILS, OPEN}
    assert (tmp_path / "out/figure.png").stat().st_size > 20_000
    assert (folder / "README.md").is_file()
