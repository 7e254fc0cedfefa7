"""Whether the parts of an experiment fit each other; asked before anything is compiled."""

from __future__ import annotations

from typing import Any

from grokdyn.probes.base import Shapes
from grokdyn.spec.errors import SpecError
from grokdyn.spec.kinds import kind_of


def check_fit(template: Any, shapes: Shapes) -> None:
    """Raise SpecError where loss or probe do not fit task or model, or a stop rule reads what no probe records."""
    regression = shapes.signature.regression
    if regression and not template.loss.real_targets:
        raise SpecError("loss.kind", kind_of(template.loss), "a loss of real targets, such as mse, for this task")
    known: set[str] = set()
    for i, probe in enumerate(template.probes):
        if regression and probe.needs_classes:
            raise SpecError(f"probes[{i}]", kind_of(probe), "a probe that needs no classes: targets are real")
        for name, came, allowed in probe.conflicts(shapes):
            raise SpecError(f"probes[{i}].{name}", came, allowed)
        known |= {name for name, variable in probe.variables(shapes).items() if not variable.dims}
    for i, rule in enumerate(template.stop):
        for name in rule.needs():
            if name not in known:
                raise SpecError(f"stop[{i}]", name, "a variable that a probe records: " + ", ".join(sorted(known)))
