"""Ten thousand runs in one sweep: memory and size on disk."""

import subprocess
import sys
from pathlib import Path

import pytest

import grokdyn as gd
from grokdyn.commands import QUICKSTART

RUNS = 10_000
CODE = """
import resource, sys
import grokdyn as gd
sweep = gd.load(sys.argv[1], overrides={"steps": 20, "sweep.seed": {"range": [0, 625]},
    "sweep.optimizer.weight_decay": [0.0, 1.0], "record": {"every": 5}})
ds = gd.run(sweep, out=sys.argv[2], progress=False)
assert ds.status.size == 10_000 and (ds.status == 0).all()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@pytest.mark.slow
def test_ten_thousand_runs_of_the_quickstart_model_fit_in_memory(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(QUICKSTART), str(tmp_path / "out")], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 6 * 2**30
    ds = gd.open(tmp_path / "out")
    size = sum(file.stat().st_size for file in Path(tmp_path / "out/results.zarr").rglob("*"))
    assert size < 1.5 * ds.nbytes
