"""What a probe is."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax

from grokdyn.probes.view import View
from grokdyn.spec.base import Spec, field
from grokdyn.spec.rules import Count, Name, Optional
from grokdyn.tasks.shapes import Conflicts, Shapes, needs_classes, needs_one_answer


class Variable(NamedTuple):
    """A variable of the Dataset.

    Attributes:
        long_name, units: for axes of figures.
        dims: names of the axes after (run, step).
        coordinates: values along those axes.
        part: name of the part of the rows that it is of, if of one.
        every: steps between records that measure it; 0: all do.
        trusted_to: where it is above, what its probe says cannot be trusted, and a user is warned at the end.
    """

    long_name: str
    units: str = "1"
    dims: tuple[str, ...] = ()
    coordinates: Mapping[str, Any] = MappingProxyType({})
    part: str = ""
    every: int = 0
    trusted_to: float = float("inf")


class Probe(Spec):
    """Base of all probes. When a probe runs, and what a Dataset calls its variables, is not its business.

    With ``every`` it measures at the first record, the last, and the first at or after each multiple of so many steps;
    at other records its variables are nan, and it costs nothing. With ``name`` its variables and axes have that name
    and _ in front, so that a kind can be there twice. A probe of a user's own subclasses this in Python and goes into
    ``Experiment.probes``; nothing else is needed.
    """

    every: int | None = field(Optional(Count()), default=None, doc="least steps between measurements", kw_only=True)
    name: str | None = field(Optional(Name()), default=None, doc="goes before its variables' names", kw_only=True)

    needs_initial_params = False  # True where ``measure`` reads ``view.initial_params``

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        """Return the variables that ``measure`` gives, by name."""
        raise NotImplementedError

    def measure(self, view: View) -> dict[str, jax.Array]:
        """Measure one network at one step; traced. Values have the shape of the variable's dims."""
        raise NotImplementedError

    def settled(self, shapes: Shapes) -> Any:
        """Return the probe with what its fields leave to the runs decided, as it is then asked and compiled."""
        return self

    def seen(self, view: View) -> View:
        """Return what ``measure`` is given of what the engine sees; traced."""
        return view

    def told(self, long_name: str) -> str:
        """Return the name of a variable with what it says of the rows that it is of."""
        return long_name

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
