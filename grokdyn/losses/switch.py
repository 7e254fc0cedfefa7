"""Interventions on a loss: another one from a step on, or a forced softmax collapse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from grokdyn.losses.base import Loss, one_hot
from grokdyn.spec.base import field
from grokdyn.spec.kinds import Part
from grokdyn.spec.rules import Integer
from grokdyn.tasks.shapes import Conflicts, Shapes


class Intervention(Loss):
    """Base of losses that depend on the step. By itself such a loss is the one in force at step 0."""

    def divisor(self, count: jax.Array) -> jax.Array:
        return self.in_force(0).divisor(count)

    def rows(self, logits: jax.Array, labels: jax.Array) -> jax.Array:
        return self.in_force(0).rows(logits, labels)

    def sum_of_exponentials(self, logits: jax.Array) -> jax.Array:
        return self.in_force(0).sum_of_exponentials(logits)


class SwitchLoss(Intervention):
    """Minimise ``first`` in the updates made before step ``at``, and ``then`` from it on.

    A record at step t shows the loss that the update made at step t minimises.
    """

    first: Any = field(Part("loss"), doc="the loss before")
    then: Any = field(Part("loss"), doc="the loss from the step on")
    at: int = field(Integer(), doc="first step of the second loss")

    @property
    def takes_shares(self) -> bool:
        """Whether both losses do."""
        return self.first.takes_shares and self.then.takes_shares

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        if self.at > steps:
            yield from ((name, f"the run ends at step {steps}") for name in ("at", "then"))
        if self.at == 0:
            yield "first", "the switch is at step 0"

    def conflicts(self, shapes: Shapes) -> Conflicts:
        for name, inner in (("first", self.first), ("then", self.then)):
            for path, came, allowed in inner.conflicts(shapes):
                yield f"{name}.{path}", came, allowed

    def in_force(self, step: Any) -> Any:
        return Switched(self.first.in_force(step), self.then.in_force(step), jnp.asarray(step >= self.at))


class ForcedCollapse(Intervention):
    """The inner loss, with the gradient of the correct class's logit set to 0 from step ``at`` on.

    This is what softmax collapse does to a row (Prieto et al. 2025, appendix): the wrong logits still receive their
    gradients. The loss's value does not change.
    """

    inner: Any = field(Part("loss"), doc="the loss")
    at: int = field(Integer(), doc="first step of the collapse")

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        if self.at > steps:
            yield "at", f"the run ends at step {steps}"

    def in_force(self, step: Any) -> Any:
        return Collapsed(self.inner.in_force(step), jnp.asarray(step >= self.at))


@dataclass(frozen=True)
class Switched:
    """One of two losses, by a traced flag; only the one in force is computed unless lanes are vmapped."""

    first: Any
    then: Any
    late: jax.Array

    def rows(self, logits: jax.Array, labels: jax.Array) -> jax.Array:
        return self.chosen(lambda loss: loss.rows(logits, labels))

    def sum_of_exponentials(self, logits: jax.Array) -> jax.Array:
        return self.chosen(lambda loss: loss.sum_of_exponentials(logits))

    def divisor(self, count: jax.Array) -> jax.Array:
        return self.chosen(lambda loss: loss.divisor(count))

    def chosen(self, of: Callable[[Any], jax.Array]) -> jax.Array:
        """Return the value of the loss in force, in the wider dtype of the two."""
        dtype = jnp.result_type(*(jax.eval_shape(lambda loss=loss: of(loss)).dtype for loss in (self.first, self.then)))
        return lax.cond(self.late, lambda: of(self.then).astype(dtype), lambda: of(self.first).astype(dtype))


@dataclass(frozen=True)
class Collapsed:
    """A loss whose correct logits receive no gradient where the flag says so."""

    inner: Any
    late: jax.Array

    def rows(self, logits: jax.Array, labels: jax.Array) -> jax.Array:
        silent = one_hot(labels, logits.shape[-1]) & self.late
        return self.inner.rows(jnp.where(silent, lax.stop_gradient(logits), logits), labels)

    def divisor(self, count: jax.Array) -> jax.Array:
        return self.inner.divisor(count)

    def sum_of_exponentials(self, logits: jax.Array) -> jax.Array:
        return self.inner.sum_of_exponentials(logits)
