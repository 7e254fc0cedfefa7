"""What a probe is."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax

from grokdyn.probes.view import View
from grokdyn.spec.base import Spec
from grokdyn.tasks.shapes import Conflicts, Shapes, needs_classes, needs_one_answer


class Variable(NamedTuple):
    """A variable of the Dataset.

    Attributes:
        long_name, units: for axes of figures.
        dims: names of the axes after (run, step).
        coordinates: values along those axes.
        part: name of the part of the rows that it is of, if of one.
    """

    long_name: str
    units: str = "1"
    dims: tuple[str, ...] = ()
    coordinates: Mapping[str, Any] = MappingProxyType({})
    part: str = ""


class Probe(Spec):
    """Base of all probes. When a probe runs is not its business.

    A probe of a user's own subclasses this in Python and goes into ``Experiment.probes``; nothing else is needed.
    """

    needs_initial_params = False  # True where ``measure`` reads ``view.initial_params``

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        """Return the variables that ``measure`` gives, by name."""
        raise NotImplementedError

    def measure(self, view: View) -> dict[str, jax.Array]:
        """Measure one network at one step; traced. Values have the shape of the variable's dims."""
        raise NotImplementedError

    def conflicts(self, shapes: Shapes) -> Conflicts:
        """Yield ``(field, came, allowed)`` where the probe does not fit the model or task; before compiling.

        By default a probe serves rows of one answer, logits [rows, outputs]; one that also serves [rows, answers,
        outputs] yields nothing here.
        """
        return needs_one_answer(shapes, "a probe")


def fits_all(self: Probe, shapes: Shapes) -> Conflicts:
    """Serve as ``conflicts`` of a probe that fits every task, rows of several answers included."""
    return iter(())


def fits_classes(self: Probe, shapes: Shapes) -> Conflicts:
    """Serve as ``conflicts`` of a probe that reads labels as classes, of one answer a row or of several."""
    return needs_classes(shapes, "a probe that needs no classes")


def fits_one_class(self: Probe, shapes: Shapes) -> Conflicts:
    """Serve as ``conflicts`` of a probe that reads the label of a row's only answer as a class."""
    yield from needs_one_answer(shapes, "a probe")
    yield from needs_classes(shapes, "a probe that needs no classes")
