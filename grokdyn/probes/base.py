"""What a probe is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax

from grokdyn.probes.view import View
from grokdyn.spec.base import Spec


class Variable(NamedTuple):
    """A variable of the Dataset.

    Attributes:
        long_name, units: for axes of figures.
        dims: names of the axes after (run, step).
        coordinates: values along those axes.
    """

    long_name: str
    units: str = "1"
    dims: tuple[str, ...] = ()
    coordinates: Mapping[str, Any] = MappingProxyType({})


class Shapes(NamedTuple):
    """What is known before compiling.

    Attributes:
        params: shapes and dtypes of the parameters.
        signature: the task's.
        noisy: whether labels are corrupted.
        experiment: a description with the structure of all runs; its numbers are one run's.
        n_train: the smallest and the largest number of train rows among the runs.
        runs: the same description with the numbers of all runs, as arrays [runs].
    """

    params: Any
    signature: Any
    noisy: bool
    experiment: Any
    n_train: tuple[int, int] = (1, 1)
    runs: Any = None


class Probe(Spec):
    """Base of all probes. When a probe runs is not its business.

    A probe of a user's own subclasses this in Python and goes into ``Experiment.probes``; nothing else is needed.
    """

    needs_initial_params = False  # True where ``measure`` reads ``view.initial_params``
    needs_classes = False  # True where ``measure`` reads labels as classes
    several_answers = False  # True where it serves rows with several answers: logits [rows, answers, outputs]

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        """Return the variables that ``measure`` gives, by name."""
        raise NotImplementedError

    def measure(self, view: View) -> dict[str, jax.Array]:
        """Measure one network at one step; traced. Values have the shape of the variable's dims."""
        raise NotImplementedError

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        """Yield ``(field, came, allowed)`` where the probe does not fit the model or task; before compiling."""
        return iter(())
