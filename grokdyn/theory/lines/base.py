"""What a theory says of itself, so that ``theory.of`` can find it: what it assumes, and its curves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from grokdyn.models.initializers import multiplier
from grokdyn.optim.schedules import Constant
from grokdyn.optim.sgd import SGD
from grokdyn.spec.kinds import kind_of

# The path of a field of the experiment, what it is, what the theory allows.
Failure = tuple[str, Any, str]


class Line:
    """Base of all: a closed form of what some experiments record.

    Attributes:
        name: in a few words; source: who derived it.
        of_streams: random streams of a run, as in ``seeds``, whose very draws it is of: a line for each of these; none:
            a mean over all draws.
    """

    name = ""
    source = ""
    of_streams: tuple[str, ...] = ()

    def failures(self, experiment: Any) -> Iterator[Failure]:
        """Yield the assumptions that an experiment does not meet, the weightiest first; none where the theory holds."""
        raise NotImplementedError

    def curves(self, experiment: Any, steps: np.ndarray) -> dict[str, np.ndarray]:
        """Return what the variables of some names are after these numbers of updates, each like ``steps``."""
        raise NotImplementedError


def other_than(path: str, part: Any, cls: type, allowed: str) -> Iterator[Failure]:
    """Yield a failure where a part of an experiment is not of a class."""
    if not isinstance(part, cls):
        yield f"{path}.kind", kind_of(part), allowed


def unequal(path: str, spec: Any, **wanted: Any) -> Iterator[Failure]:
    """Yield a failure for every field that has not the value wanted of it."""
    for name, value in wanted.items():
        came = getattr(spec, name)
        if came != value:
            yield f"{path}.{name}".lstrip("."), came, repr(value)


def not_plain_descent(
    experiment: Any, momentum: bool = False, decay: bool = False, batches: bool = False, transforms: bool = False
) -> Iterator[Failure]:
    """Yield what makes training other than full-batch gradient descent at a constant rate, on rows as they are.

    Args:
        momentum, decay, batches, transforms: whether the theory knows them.
    """
    optimizer = experiment.optimizer
    yield from other_than("optimizer", optimizer, SGD, "sgd")
    if isinstance(optimizer, SGD):
        yield from other_than("optimizer.schedule", optimizer.schedule, Constant, "constant")
        wanted: dict[str, Any] = {"clip_norm": None}
        wanted |= {"nesterov": False} if momentum else {"momentum": 0.0}
        wanted |= {} if decay else {"weight_decay": 0.0}
        yield from unequal("optimizer", optimizer, **wanted)
    if not batches:
        yield from unequal("", experiment, batch_size=None)
    if experiment.transforms and not transforms:
        yield "transforms", ", ".join(map(kind_of, experiment.transforms)), "none"


def not_fresh(experiment: Any) -> Iterator[Failure]:
    """Yield a failure where rows are seen more than once."""
    if not experiment.task.endless:
        yield "task.fresh", False, "true"


def train_points(task: Any) -> int:
    """Return how many rows of a task without parts train."""
    return int(jax.tree.map(np.asarray, task).train_count(task.signature().rows))


def deviation(init: str, fan_in: int) -> float:
    """Return the standard deviation of a weight as it is drawn, see ``models.initializers``."""
    known = {"torch": (3 * fan_in) ** -0.5, "lecun": fan_in**-0.5, "gromov": 0.5 / (2 * fan_in) ** (1 / 3)}
    return known.get(init, 1.0)


def weight_of_parameter(model: Any, entries: int) -> Any:
    """Return by what a linear student's parameters are multiplied where they meet an input of so many entries.

    Descent moves what meets the input its square times as far as it would without.
    """
    return model.output_scale * multiplier(model.init, entries, last=True)
