"""The reference is made of docstrings: every public name says what it is, what it takes, gives back and refuses."""

import dataclasses
import inspect
import re

import pytest

import grokdyn as gd
from grokdyn.spec.places import KINDS, PLACES

MODULES = ("analysis", "plot", "theory", "interop")
# What a sentence has that says where a definition is from, or is one: an author's year, a library, an equation.
SOURCE = re.compile(r"(19|20)\d\d|PyTorch|optax|[=≥≤^∂∇]|->|/| of |\bat\b|mean|share|norm|steps?\b")


def own(module):
    """Return the public names of a module that are made in the package."""
    names = getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")])
    found = {name: getattr(module, name) for name in names}
    return {n: v for n, v in found.items() if callable(v) and getattr(v, "__module__", "").startswith("grokdyn")}


NAMES = {name: getattr(gd, name) for name in PLACES}
NAMES |= {f"{module}.{name}": value for module in MODULES for name, value in own(getattr(gd, module)).items()}
FUNCTIONS = {name: value for name, value in NAMES.items() if inspect.isfunction(value)}
COMPONENTS = {
    f"{family} {kind}": NAMES[place.rpartition(":")[2]]
    for family, kinds in KINDS.items()
    for kind, place in kinds.items()
}


def told(value):
    return inspect.getdoc(value) or ""


def test_every_public_name_says_in_a_line_what_it_is():
    lacking = [name for name, value in NAMES.items() if not re.match(r"\S.{8,}", told(value))]
    assert not lacking
    long = [
        name for name, value in FUNCTIONS.items() if not told(value).partition("\n\n")[0].strip().endswith((".", ":"))
    ]
    assert not long


@pytest.mark.parametrize(("what", "words"), [("errors", r"[Rr]aise|no errors"), ("result", r"[Rr]eturn|[Yy]ield")])
def test_every_public_function_says_what_it_gives_back_and_what_it_refuses(what, words):
    lacking = [name for name, value in FUNCTIONS.items() if not re.search(words, told(value))]
    assert not lacking, what


def test_every_argument_of_a_public_function_is_named_in_its_docstring():
    lacking = []
    for name, value in FUNCTIONS.items():
        known = {p.name for p in inspect.signature(value).parameters.values() if p.kind is not p.VAR_KEYWORD}
        lacking += [(name, one) for one in known if not re.search(rf"\b{one}\b", told(value)) and one not in OBVIOUS]
    assert not lacking


# Arguments whose name is their description, the same everywhere.
OBVIOUS = ("ds", "path", "progress", "anyway", "model", "ax", "confidence", "threshold", "part", "xscale", "quantiles")


def test_every_field_of_a_component_has_a_description():
    lacking = [
        (name, field.name)
        for name, cls in COMPONENTS.items()
        for field in dataclasses.fields(cls)
        if not field.name.startswith("_") and not field.metadata.get("doc")
    ]
    assert not lacking


def test_every_component_says_its_equation_or_source():
    assert not [name for name, cls in COMPONENTS.items() if not SOURCE.search(told(cls))]
