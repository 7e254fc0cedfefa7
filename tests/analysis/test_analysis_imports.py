import ast
from pathlib import Path

import grokdyn.analysis

BARRED = {"jax", "flax", "optax", "matplotlib"}


def test_analysis_knows_only_datasets():
    root = Path(grokdyn.analysis.__file__).parent
    for path in root.rglob("*.py"):
        depth = len(path.relative_to(root).parts)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert not {alias.name.split(".")[0] for alias in node.names} & BARRED, path
            elif isinstance(node, ast.ImportFrom):
                assert node.level <= depth, f"{path}: reaches outside analysis"
                assert (node.module or "").split(".")[0] not in BARRED | {"grokdyn"}, path
