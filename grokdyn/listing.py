"""What the command line tells of a family, a kind, a user's own class, the spec itself: fields, defaults, rules."""

from __future__ import annotations

import dataclasses
import importlib
import inspect

from rich.table import Table

from grokdyn.catalogue import first_line
from grokdyn.engine.host.console import Console
from grokdyn.spec import base, places
from grokdyn.spec.axes import AXIS, ZIP
from grokdyn.spec.errors import nearest
from grokdyn.spec.imports import imported
from grokdyn.usage import UsageError

FAMILIES = {("losses" if family == "loss" else f"{family}s"): family for family in places.FAMILIES}
# What a file has besides parts of families.
TABLES = {
    "experiment": "grokdyn.spec.experiment:Experiment",
    "seeds": "grokdyn.spec.experiment:Seeds",
    "round": "grokdyn.spec.round:Beginning",
}
SWEEP = "sweep"
ALLOWED = f"{', '.join(FAMILIES)}, {', '.join(TABLES)}, {SWEEP}, a kind of a family, or my_module:Class"


def tell(name: str) -> None:
    """Print what is said of a family, a kind, a class or a table of a spec.

    Raises:
        UsageError: if nothing is called so.
    """
    console = Console()
    known = {kind: place for kinds in places.FAMILIES.values() for kind, place in kinds.items()} | TABLES
    if name in FAMILIES:
        for kind, place in places.FAMILIES[FAMILIES[name]].items():
            tell_of(console, kind, component(place), first_line(component(place).__doc__ or ""))
    elif name == SWEEP:
        tell_sweep(console)
    elif name in known:
        cls = component(known[name])
        tell_of(console, name, cls, inspect.cleandoc(cls.__doc__ or ""))
    elif ":" in name:
        cls = own(name)
        tell_of(console, name, cls, inspect.cleandoc(cls.__doc__ or "no docstring"))
    else:
        hint = nearest(name, {*known, *FAMILIES, SWEEP})
        raise UsageError(f"list: got {name!r}; allowed: {ALLOWED}" + (f" ({hint})" if hint else ""))


def own(place: str) -> type:
    """Return a user's class, imported.

    Raises:
        SpecError, UsageError: if it cannot be, or describes nothing.
    """
    cls = imported(place, "list", "my_module:Class, with the module in this folder or installed")
    if isinstance(cls, type) and issubclass(cls, base.Spec) and dataclasses.is_dataclass(cls):
        return cls
    raise UsageError(f"list: got {place!r}; allowed: a task, model, loss, optimizer, probe or other part of a spec")


def tell_of(console: Console, kind: str, cls: type, words: str) -> None:
    public = f"gd.{cls.__name__}" if cls.__name__ in places.PLACES else "in files only"
    python = public if cls.__module__.startswith("grokdyn.") else cls.__name__
    console.print(f"\n{kind}  ({python})", style="bold", highlight=False)
    console.print(flowing(words), highlight=False)
    console.print(fields_table(cls))


def flowing(words: str) -> str:
    """Return text whose paragraphs are lines, which a terminal breaks where it ends; what is set in or listed stays."""
    whole = (paragraph.split("\n") for paragraph in words.split("\n\n"))
    return "\n\n".join(("\n" if any(line[:1] in " *-" for line in lines) else " ").join(lines) for lines in whole)


def tell_sweep(console: Console) -> None:
    """Print what a sweep is made of: it has paths of an experiment's fields in place of fields."""
    cls = component("grokdyn.spec.sweep:Sweep")
    console.print(f"\n{SWEEP}  (gd.Sweep)", style="bold", highlight=False)
    console.print(flowing(inspect.cleandoc(cls.__doc__ or "")), highlight=False)
    table = Table()
    for head in ("in [sweep]", "meaning", "allowed"):
        table.add_column(head, overflow="fold")
    paths = "the path of a field of the experiment, in quotes: seed, steps, optimizer, optimizer.learning_rate, ..."
    table.add_row('"path.to.field"', "an axis: a run for every value, and for every combination with other axes", AXIS)
    table.add_row("name", "an axis along which several paths move together; single points are one called run", ZIP)
    table.add_row("", "what a path may be", paths)
    console.print(table)
    console.print("Paths and their rules: grokdyn list experiment, and grokdyn list KIND for those inside a part.")


def fields_table(cls: type) -> Table:
    table = Table()
    for head in ("field", "default", "meaning", "allowed"):
        table.add_column(head, overflow="fold")
    known = base.defaults(cls)
    for f in dataclasses.fields(cls):
        rule = f.metadata.get("rule")
        if rule is None:  # a plain attribute of a user's class
            table.add_row(f.name, "", "", "")
            continue
        table.add_row(f.name, default_told(f.name, rule, known), f.metadata["doc"], rule.allowed)
    return table


def default_told(name: str, rule: base.Rule, known: dict) -> str:
    """Return a default as a file would have it."""
    if name not in known:
        return "none: must be given"
    default = known[name]
    if default is None:
        return "nothing"
    try:
        return str(rule.encode(rule.decode(default, name)))
    except ValueError:  # a user's default that its own rule refuses
        return repr(default)


def component(place: str) -> type:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
