"""Imports point one way; reading them needs no import of the package."""

import ast
import itertools
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "grokdyn"
ORDER = (
    *(
        "spec",
        "tasks",
        "models",
        "losses",
        "transforms",
        "optim",
        "kernel",
        "curvature",
        "theory",
        "probes",
        "train",
        "interventions",
    ),
    "checks",
    "engine",
)
# The rooms of the engine; what lies beside them is what a user calls, and imports any.
ROOMS = ("host", "store", "plan", "loop", "machines")
ONLY_DATASETS = ("analysis", "plot", "page")
# Not for traced code: what draws, what is labelled.
HEAVY = {"matplotlib", "xarray", "zarr", "rich"}
TRACED = ORDER[: ORDER.index("engine")]
# Among what is traced, what users call to have closed forms under the names of results.
BESIDE = {"theory/lines/of.py"}


@cache
def import_statements(path):
    """Return those of a file, at its top or inside a function."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]


def imported(path):
    """Yield every module that a file imports as a full dotted name."""
    package = ("grokdyn", *path.relative_to(ROOT).parent.parts)
    for node in import_statements(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        else:
            parts = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*parts, *filter(None, [node.module])])
            # ``from grokdyn import bench`` names a part of the package.
            yield from (f"{module}.{alias.name}" for alias in node.names) if module == "grokdyn" else (module,)


@cache
def imports():
    """Return ``(file, part of the package it is in, imported name)`` of the whole package."""
    found = []
    for path in ROOT.rglob("*.py"):
        where = path.relative_to(ROOT)
        part = where.parts[0] if len(where.parts) > 1 else where.stem
        found += [(str(where), part, name) for name in imported(path)]
    return found


def test_the_layers_import_only_what_comes_before_them():
    wrong = []
    for file, part, name in imports():
        top, _, rest = name.partition(".")
        other = rest.partition(".")[0]
        if top == "grokdyn" and part in ORDER and other != part:
            allowed = ORDER[: ORDER.index(part)]
            wrong += [(file, name)] if other not in allowed else []
    assert not wrong


def test_the_rooms_of_the_engine_import_only_what_comes_before_them():
    wrong = []
    for path in (ROOT / "engine").glob("*/*.py"):
        room = path.parent.name
        allowed = ROOMS[: ROOMS.index(room) + 1]
        inner = [name.split(".")[2] for name in imported(path) if name.startswith("grokdyn.engine.")]
        wrong += [(f"{room}/{path.name}", other) for other in inner if other not in allowed]
    assert not wrong


def test_no_file_imports_itself_by_way_of_others():
    """Not even inside a function: what two files need of each other belongs into a third."""
    files = {".".join(("grokdyn", *path.relative_to(ROOT).with_suffix("").parts)): path for path in ROOT.rglob("*.py")}
    files = {name.removesuffix(".__init__"): path for name, path in files.items()}
    left = {name: files_named(path, files) - {name} for name, path in files.items()}
    while ends := {name for name, others in left.items() if not others & left.keys()}:
        left = {name: others for name, others in left.items() if name not in ends}
    circle = {name: sorted(others & left.keys()) for name, others in left.items()}
    assert not circle, "these import each other, or what does"


def files_named(path, files):
    """Return the files of the package that a file imports: of a folder the files in it that are named, not itself."""
    found, package = set(), ("grokdyn", *path.relative_to(ROOT).parent.parts)
    for node in import_statements(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        else:
            parts = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*parts, *filter(None, [node.module])])
            inner = {f"{module}.{alias.name}" for alias in node.names}
            found |= inner if inner <= files.keys() else {module} | inner
    return found & files.keys()


def test_analysis_plot_and_page_know_only_datasets():
    inner = [(file, name) for file, part, name in imports() if part in ONLY_DATASETS and name.startswith("grokdyn")]
    assert all(name.split(".")[1] in ONLY_DATASETS for _, name in inner), inner


@pytest.mark.parametrize("part", TRACED)
def test_traced_code_imports_nothing_that_labels_or_draws(part):
    found = {(file, name) for file, where, name in imports() if where == part and name.split(".")[0] in HEAVY}
    assert not {(file, name) for file, name in found if file not in BESIDE}


def test_the_package_imports_what_it_says_it_needs():
    """Everything imported is the package, the standard library, or a dependency in pyproject.toml."""
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    known = {plain(re.match(r"[\w.-]+", text)[0]) for text in needed} | {"grokdyn"}
    found = {name.split(".")[0] for _, _, name in imports()} - set(sys.stdlib_module_names)
    owners = packages_distributions()
    unknown = {name for name in found if not {plain(owner) for owner in owners.get(name, [name])} & known}
    assert not unknown


def plain(distribution):
    return distribution.lower().replace("_", "-")


def test_the_layers_are_there():
    assert {"spec", "tasks", "train", "engine"} <= {part for _, part, _ in imports()}


def test_what_draws_a_run_takes_no_part_of_scipy_that_it_does_not_need():
    """They cost every command that draws a tenth of a second each."""
    code = "import sys, grokdyn.figures; print({'scipy.optimize', 'scipy.spatial', 'scipy.linalg'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
