"""Factors on the learning rate over the steps; their numbers may be traced.

t counts the updates before the present one, so the first update sees t = 0, and a linear warm-up starts with the
learning rate 0 as ``LambdaLR`` does in the published code.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.spec.base import Spec, field
from grokdyn.spec.rules import Number


class Schedule(Spec):
    """Base of all schedules."""

    def factor(self, count: jax.Array) -> Any:
        """Return the float64 factor of update ``count`` (from 0)."""
        raise NotImplementedError


class Constant(Schedule):
    """The learning rate as it is: the factor is 1 at every step."""

    def factor(self, count: jax.Array) -> Any:
        return jnp.ones((), jnp.float64)


class Warmup(Schedule):
    """Rise linearly: min((t + offset) / steps, 1)."""

    steps: float = field(Number(0), default=10.0, doc="steps until the factor is 1")
    offset: float = field(Number(0), default=0.0, doc="0: the first learning rate is 0; 1: it is 1/steps of the last")

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        if self.steps == 0:
            yield "offset", "steps is 0"

    def factor(self, count: jax.Array) -> Any:
        return rise(count + self.offset, self.steps)


class Cosine(Schedule):
    """Rise linearly over ``warmup`` steps, then fall as final + (1 - final)(1 + cos(pi s)) / 2.

    s goes from 0 to 1 between steps ``warmup`` and ``steps`` and stays there.
    """

    steps: float = field(Number(0, open_low=True), default=1000.0, doc="steps until the factor is final")
    warmup: float = field(Number(0), default=0.0, doc="steps of linear warm-up")
    final: float = field(Number(0), default=0.0, doc="the last factor")

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        if self.warmup > steps:
            yield from ((name, f"at step {steps} the run still warms up") for name in ("steps", "final"))
        elif self.final == 1:
            yield "steps", "final is 1"

    def factor(self, count: jax.Array) -> Any:
        length = jnp.maximum(self.steps - self.warmup, 1.0)
        s = jnp.clip((count - self.warmup) / length, 0.0, 1.0)
        fall = self.final + (1 - self.final) * (1 + jnp.cos(jnp.pi * s)) / 2
        return jnp.where(count < self.warmup, rise(count, self.warmup), fall)


class StepDecay(Schedule):
    """Multiply by ``factor_per_drop`` every ``every`` steps: factor ^ floor(t / every)."""

    every: float = field(Number(1), default=1000.0, doc="steps between drops")
    factor_per_drop: float = field(Number(0), default=0.1, doc="factor of one drop")

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        if self.every > steps:
            yield from ((name, f"the run ends at step {steps}") for name in ("every", "factor_per_drop"))
        if self.factor_per_drop == 1:
            yield "every", "factor_per_drop is 1"

    def factor(self, count: jax.Array) -> Any:
        return jnp.power(jnp.asarray(self.factor_per_drop, jnp.float64), jnp.floor(count / self.every))


def rise(count: Any, steps: Any) -> Any:
    """Return min(count / steps, 1), and 1 for steps = 0."""
    return jnp.where(count < steps, count / jnp.maximum(steps, 1e-300), 1.0)
