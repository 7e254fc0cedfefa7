"""Another optimizer from a step on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from grokdyn.optim.base import AnyOptimizer
from grokdyn.optim.gradient import Gradient
from grokdyn.spec.base import field
from grokdyn.spec.kinds import Part
from grokdyn.spec.rules import Integer


class SwitchOptimizer(AnyOptimizer):
    """Update with ``first`` before step ``at``, and with ``then`` from it on.

    The second optimizer starts afresh at the switch: no momentum, its schedule at 0.
    """

    first: Any = field(Part("optimizer"), doc="the optimizer before")
    then: Any = field(Part("optimizer"), doc="the optimizer from the step on")
    at: int = field(Integer(), doc="first step of the second optimizer")

    @property
    def plain(self) -> bool:
        return self.first.plain and self.then.plain

    @property
    def gradients(self) -> int:
        return max(self.first.gradients, self.then.gradients)

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        if self.at > steps:
            yield from ((name, f"the run ends at step {steps}") for name in ("at", "then"))
        if self.at == 0:
            yield "first", "the switch is at step 0"

    def transform(self) -> optax.GradientTransformation:
        return switched(self.first.transform(), self.then.transform(), self.at, self.plain)

    def estimate(self, gradient: Gradient, params: Any, memory: Any) -> tuple[Any, Any]:
        if self.plain:
            return gradient(params), memory

        def early() -> tuple[Any, Any]:
            found, new = self.first.estimate(gradient, params, memory.first)
            return found, memory._replace(first=new)

        def late() -> tuple[Any, Any]:
            old = begun(self.then.init(params), memory, self.at)
            found, new = self.then.estimate(gradient, params, old)
            return found, memory._replace(then=new)

        return lax.cond(memory.count >= self.at, late, early)


class SwitchState(NamedTuple):
    """Number of updates so far, int32, and the states of both optimizers."""

    count: jax.Array
    first: Any
    then: Any


def begun(fresh: Any, state: SwitchState, at: Any) -> Any:
    """Return the second optimizer's state, a fresh one at the switch: it may remember the parameters of then."""
    return jax.tree.map(lambda a, b: jnp.where(state.count == at, a, b), fresh, state.then)


def switched(first: Any, then: Any, at: Any, begins: bool = True) -> optax.GradientTransformation:
    """Return ``first`` for the updates numbered below ``at`` (from 0), ``then`` afterwards; ``at`` may be traced.

    ``begins``: the second state is made afresh here; else whoever took the gradient did so.
    """

    def init(params: Any) -> SwitchState:
        return SwitchState(jnp.zeros((), jnp.int32), first.init(params), then.init(params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        def early() -> tuple[Any, Any, Any]:
            moved, new = first.update(updates, state.first, params)
            return moved, new, state.then

        def late() -> tuple[Any, Any, Any]:
            old = begun(then.init(params), state, at) if begins else state.then
            moved, new = then.update(updates, old, params)
            return moved, state.first, new

        moved, *states = lax.cond(state.count >= at, late, early)
        return moved, SwitchState(state.count + jnp.ones((), jnp.int32), *states)

    return optax.GradientTransformation(init, update)
