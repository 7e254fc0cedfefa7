"""All kinds in a few tables, read from the package's source: importing them would take JAX, and seconds."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from rich.table import Table

from grokdyn.engine.host.console import Console
from grokdyn.spec.places import FAMILIES

PACKAGE = Path(__file__).parent


def tell_all() -> None:
    """Print the kinds of all families."""
    console = Console()
    for family, kinds in FAMILIES.items():
        console.print(kinds_table(family, kinds))


def kinds_table(family: str, kinds: dict[str, str]) -> Table:
    table = Table(title=family, title_justify="left")
    table.add_column("kind", overflow="fold", no_wrap=True)  # a file has it as it is
    for head in ("in Python", "what it is"):
        table.add_column(head, overflow="fold")
    for kind, place in kinds.items():
        table.add_row(kind, f"gd.{place.partition(':')[2]}", first_line(docstring(place)))
    return table


def first_line(words: str) -> str:
    return " ".join(words.partition("\n\n")[0].split())


def docstring(place: str) -> str:
    """Return what the package's source says of one of its classes, given as ``module:Class``."""
    module, _, name = place.partition(":")
    return docstrings(module)[name]


@cache
def docstrings(module: str) -> dict[str, str]:
    """Return the docstrings of the classes that a module of the package defines, by name."""
    file = PACKAGE.joinpath(*module.split(".")[1:]).with_suffix(".py")
    classes = (node for node in ast.parse(file.read_bytes()).body if isinstance(node, ast.ClassDef))
    return {node.name: ast.get_docstring(node) or "" for node in classes}
