"""Whether the parts of an experiment fit each other; asked before anything is compiled."""

from __future__ import annotations

from typing import Any

from grokdyn.checks.names import check_names, declared
from grokdyn.probes.base import Variable
from grokdyn.spec.errors import SpecError, Words
from grokdyn.tasks.shapes import Conflicts, Shapes
from grokdyn.train.transformed import unfit


def check_inputs(template: Any, shapes: Shapes) -> None:
    """Raise SpecError where the task, the model or the loss does not fit the task's signature."""
    for family in ("task", "model", "loss"):
        refuse(family, getattr(template, family).conflicts(shapes))


def check_transforms(template: Any, shapes: Shapes) -> None:
    """Raise SpecError where a transform does not fit the task, the model, or how rows are taken."""
    for name, came, allowed in unfit(template.transforms, template):
        raise SpecError(name, came, allowed)
    for i, one in enumerate(template.transforms):
        refuse(f"transforms[{i}]", one.conflicts(shapes))


def refuse(path: str, conflicts: Conflicts) -> None:
    """Raise SpecError for the first of some conflicts, if there is any."""
    for name, came, allowed in conflicts:
        raise SpecError(f"{path}.{name}", came, allowed)


def check_fit(template: Any, shapes: Shapes) -> None:
    """Raise SpecError where the optimizer, probes or stop rules do not fit the model or task."""
    check_transforms(template, shapes)
    refuse("optimizer", template.optimizer.conflicts(shapes))
    found: list[dict[str, Variable]] = []
    known: set[str] = set()
    text: dict[str, tuple[bool, int]] = {}  # dimension -> whether its coordinates are names, and which probe says so
    for i, probe in enumerate(template.probes):
        refuse(f"probes[{i}]", probe.conflicts(shapes))
        variables = declared(f"probes[{i}]", probe, shapes)
        found.append(variables)
        known |= {name for name, variable in variables.items() if not variable.dims}
        for dim, values in (item for variable in variables.values() for item in variable.coordinates.items()):
            names = all(isinstance(value, str) for value in values)
            told, first = text.setdefault(dim, (names, i))
            if told != names:
                came = Words(f"a dimension {dim} of {'names' if names else 'numbers'}")
                raise SpecError(f"probes[{i}]", came, f"{'names' if told else 'numbers'}, as probes[{first}] has there")
    check_names(template.probes, found, shapes)
    for i, rule in enumerate(template.stop):
        for name in rule.needs():
            if name not in known:
                raise SpecError(f"stop[{i}]", name, "a variable that a probe records: " + ", ".join(sorted(known)))
