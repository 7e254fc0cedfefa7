"""Every notebook runs from top to bottom."""

import importlib.util
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests import quick

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
# One runs by default, with fewer steps; all of them, as they are, with -m slow: each takes 10 to 40 s on two cores.
QUICK = [path for path in NOTEBOOKS if path.stem.startswith("01")]


def run(path, folder, steps=None):
    """Run a notebook in a folder of its own; return it with what its cells gave."""
    notebook = nbformat.read(path, as_version=4)
    if "import torch" in "".join(cell.source for cell in notebook.cells) and not importlib.util.find_spec("torch"):
        pytest.skip("no PyTorch here: the extra torch")
    for cell in notebook.cells if steps is not None else ():
        cell.source = re.sub(r"\bsteps=\d+", f"steps={steps}", cell.source)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}})
    return client.execute(env=quick.environment())


def check(done):
    outputs = [out for cell in done.cells for out in cell.get("outputs", [])]
    assert [out for out in outputs if "image/png" in out.get("data", {})]
    assert not [out for out in outputs if out.get("name") == "stderr"]


@pytest.mark.parametrize("path", QUICK, ids=lambda path: path.stem)
def test_a_notebook_runs_with_fewer_steps(path, tmp_path):
    check(run(path, tmp_path, steps=20))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_runs_from_top_to_bottom(path, tmp_path):
    check(run(path, tmp_path))


def test_every_notebook_shows_what_it_gave():
    """They are read where nothing runs: figures are in the file, errors are not."""
    for path in NOTEBOOKS:
        cells = nbformat.read(path, as_version=4).cells
        outputs = [out for cell in cells for out in cell.get("outputs", [])]
        assert [out for out in outputs if "image/png" in out.get("data", {})], path
        assert not [out for out in outputs if out.output_type == "error"], path
