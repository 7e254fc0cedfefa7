"""Every notebook runs from top to bottom."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("steps", [200, pytest.param(None, marks=pytest.mark.slow)])
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_from_top_to_bottom(path, steps, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    if steps is not None:
        for cell in notebook.cells:
            cell.source = re.sub(r"\bsteps=\d+", f"steps={steps}", cell.source)
    done = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    figures = [out for cell in done.cells for out in cell.get("outputs", []) if "image/png" in out.get("data", {})]
    assert figures
    assert not [out for cell in done.cells for out in cell.get("outputs", []) if out.get("name") == "stderr"]
