"""Names of what probes record: each of one probe, none of anything else in the Dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from grokdyn.checks.told import telling
from grokdyn.probes import cadence
from grokdyn.probes.base import Shapes, Variable
from grokdyn.spec.errors import SpecError, Words
from grokdyn.spec.foreign import is_foreign
from grokdyn.spec.imports import imported
from grokdyn.spec.places import KINDS

# What every Dataset has besides what probes record.
RESERVED = ("step", "status", "diverged_at", "stopped_at")


def declared(path: str, probe: Any, shapes: Shapes) -> dict[str, Variable]:
    """Return the variables of a probe as a Dataset holds them, checked.

    Raises:
        SpecError: naming the class, and what of its variables is not as a Dataset needs it.
    """
    with telling(path, probe, "variables"):
        found = probe.variables(shapes)
    name = f"{type(probe).__name__}.variables"
    if not isinstance(found, Mapping):
        raise SpecError(path, Words(f"{name}: a {type(found).__name__}"), "a dict of Variables by name")
    for word, variable in found.items():
        if not isinstance(word, str) or not word.isidentifier() or word in RESERVED:
            allowed = f"a name of letters, digits and _, other than {', '.join(RESERVED)}"
            raise SpecError(path, Words(f"{name}: {word!r}"), allowed)
        if not isinstance(variable, Variable):
            raise SpecError(path, Words(f"{name}: {word}: a {type(variable).__name__}"), "a Variable")
        for came, allowed in dims_off(variable):
            raise SpecError(path, Words(f"{name}: {word}: {came}"), allowed)
    return cadence.declared(probe, shapes)


def dims_off(variable: Variable) -> Iterator[tuple[str, str]]:
    """Yield what of the dims of a variable a Dataset cannot hold."""
    if isinstance(variable.dims, str):
        yield f"dims = {variable.dims!r}", f"a tuple of names, such as ({variable.dims!r},)"
        return
    for dim in variable.dims:
        if not isinstance(dim, str) or not dim.isidentifier() or dim in RESERVED:
            yield f"a dim {dim!r}", f"a name of letters, digits and _, other than {', '.join(RESERVED)}"
        elif dim not in variable.coordinates:
            yield f"dim {dim} without coordinates", f"coordinates = {{{dim!r}: values along it}}"
        else:
            values = np.asarray(variable.coordinates[dim])
            if values.ndim != 1 or len(np.unique(values)) != len(values):
                yield f"coordinates of {dim} of shape {list(values.shape)}", "a list of distinct values"


def check_names(probes: Sequence[Any], variables: Sequence[Mapping[str, Variable]], shapes: Shapes) -> None:
    """Raise SpecError where two probes give one name, to variables or dims, or a user's own one of the package's."""
    owner: dict[str, int] = {}
    dims: dict[str, int] = {}
    for i, found in enumerate(variables):
        for name in found:
            if name in owner:
                allowed = f"a name that probes[{owner[name]}], {type(probes[owner[name]]).__name__}, has not"
                raise SpecError(f"probes[{i}]", Words(f"{type(probes[i]).__name__}: a variable {name}"), allowed)
            owner[name] = i
            dims |= dict.fromkeys(found[name].dims, i)
    for name in sorted(owner.keys() & dims.keys()):
        came = Words(f"{type(probes[owner[name]]).__name__}: a variable {name}")
        raise SpecError(f"probes[{owner[name]}]", came, f"a name that no dim has, as one of probes[{dims[name]}] does")
    own = [i for i, probe in enumerate(probes) if is_foreign(type(probe))]
    taken = names_of_kinds(shapes) if own else {}
    for i in own:
        for name in variables[i]:
            if name in taken and not isinstance(probes[i], taken[name]):
                came = Words(f"{type(probes[i]).__name__}: a variable {name}")
                raise SpecError(f"probes[{i}]", came, f"a name other than those of gd.{taken[name].__name__}")


def names_of_kinds(shapes: Shapes) -> dict[str, type]:
    """Return the names of the variables that the package's own probes give this experiment, and whose they are."""
    found = {}
    for kind, place in KINDS["probe"].items():
        cls = imported(place, kind, "")
        try:
            names = cls().settled(shapes).variables(shapes)
        except Exception:  # one that does not fit this experiment gives it no names
            continue
        found |= dict.fromkeys(names, cls)
    return found


def check_axes(axes: Sequence[str], known: Sequence[Mapping[str, Variable]]) -> None:
    """Raise SpecError where variables of the runs of a sweep take the name of an axis, or differ in their dims.

    Args:
        axes: names of the sweep's axes.
        known: the variables of every cohort.
    """
    dims: dict[str, tuple[str, ...]] = {}
    for variables in known:
        for name, variable in variables.items():
            for word in (name, *variable.dims):
                if word in axes:
                    allowed = "an axis that no variable or dim of a probe is called like"
                    raise SpecError("sweep", Words(f"an axis {word}, and {word} of a probe"), allowed)
            if dims.setdefault(name, tuple(variable.dims)) != tuple(variable.dims):
                came = Words(f"{name} along {', '.join(dims[name]) or 'no dims'}, and along {', '.join(variable.dims)}")
                raise SpecError("sweep.probes", came, "one meaning of a name in a sweep")
