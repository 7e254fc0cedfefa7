"""Whether the parts of an experiment fit each other; asked before anything is compiled."""

from __future__ import annotations

from typing import Any

from grokdyn.checks.names import check_names, declared
from grokdyn.probes.base import Shapes, Variable
from grokdyn.spec.errors import SpecError, Words
from grokdyn.spec.kinds import kind_of


def check_fit(template: Any, shapes: Shapes) -> None:
    """Raise SpecError where parts of an experiment do not fit each other, probes and stop rules included."""
    regression, several = shapes.signature.regression, shapes.signature.answers > 1
    if several and not template.model.several_answers:
        allowed = f"a model that reads out {shapes.signature.answers} tokens, such as transformer, for this task"
        raise SpecError("model.kind", kind_of(template.model), allowed)
    if regression and not template.loss.real_targets:
        raise SpecError("loss.kind", kind_of(template.loss), "a loss of real targets, such as mse, for this task")
    for name, came, allowed in template.optimizer.conflicts(shapes.params):
        raise SpecError(f"optimizer.{name}", came, allowed)
    found: list[dict[str, Variable]] = []
    known: set[str] = set()
    text: dict[str, tuple[bool, int]] = {}  # dimension -> whether its coordinates are names, and which probe says so
    for i, probe in enumerate(template.probes):
        if regression and probe.needs_classes:
            raise SpecError(f"probes[{i}]", kind_of(probe), "a probe that needs no classes: targets are real")
        if several and not probe.several_answers:
            allowed = f"a probe of rows with {shapes.signature.answers} answers, such as accuracy"
            raise SpecError(f"probes[{i}]", kind_of(probe), allowed)
        for name, came, allowed in probe.conflicts(shapes):
            raise SpecError(f"probes[{i}].{name}", came, allowed)
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
