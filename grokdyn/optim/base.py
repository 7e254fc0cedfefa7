"""What every optimizer has, and how its parts are chained."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from grokdyn.optim.schedules import Constant
from grokdyn.spec.base import Spec, field
from grokdyn.spec.kinds import Part
from grokdyn.spec.rules import Number, Optional


class AnyOptimizer(Spec):
    """Base of whatever moves parameters, optimizers and what wraps them."""

    def transform(self) -> optax.GradientTransformation:
        """Return the whole update as an optax transform, built from numbers that may be traced."""
        raise NotImplementedError


class Optimizer(AnyOptimizer):
    """Base of optimizers: update = -learning_rate * schedule(t) * (direction + weight_decay * w).

    A subclass gives the ``direction`` of the (clipped) gradient as an optax transform. Numbers may be traced: the
    transform is built inside the compiled function, so a swept number and a fixed one take the same path.
    """

    learning_rate: float = field(Number(0), default=1e-3, doc="step size")
    schedule: Any = field(Part("schedule"), default=Constant(), doc="factor on the learning rate over the steps")
    clip_norm: float | None = field(Optional(Number(0, open_low=True)), default=None, doc="largest global norm")

    def direction(self) -> optax.GradientTransformation:
        """Return the transform from gradient to unscaled step."""
        raise NotImplementedError

    def decay(self) -> Any:
        """Return the decoupled weight decay, multiplied by the learning rate."""
        return None

    def coupled(self) -> Any:
        """Return the coefficient of an L2 term added to the gradient."""
        return None

    def transform(self) -> optax.GradientTransformation:
        """Return the whole update as an optax transform."""
        parts = []
        if self.clip_norm is not None:
            parts.append(clip_by_norm(self.clip_norm))
        if self.coupled() is not None:
            parts.append(add_scaled_params(self.coupled()))
        parts.append(self.direction())
        if self.decay() is not None:
            parts.append(add_scaled_params(self.decay()))
        return optax.chain(*parts, scale_by_schedule(self.learning_rate, self.schedule))


class StepCount(NamedTuple):
    """Number of updates so far, int32."""

    count: jax.Array


def scale_by_schedule(learning_rate: Any, schedule: Any) -> optax.GradientTransformation:
    """Multiply updates by -learning_rate * schedule.factor(t), t the number of updates before this one."""

    def init(params: Any) -> StepCount:
        return StepCount(jnp.zeros((), jnp.int32))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        rate = -learning_rate * schedule.factor(state.count)
        scaled = jax.tree.map(lambda u: u * jnp.asarray(rate, u.dtype), updates)
        return scaled, StepCount(state.count + jnp.ones((), jnp.int32))

    return optax.GradientTransformation(init, update)


def add_scaled_params(coefficient: Any) -> optax.GradientTransformation:
    """Add coefficient * w to the updates; the coefficient may be traced."""

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        return jax.tree.map(lambda u, w: u + jnp.asarray(coefficient, u.dtype) * w, updates, params), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def clip_by_norm(largest: Any) -> optax.GradientTransformation:
    """Scale the gradient by min(1, largest / |g|), |g| its global L2 norm; a zero gradient stays zero."""

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        norm = optax.tree.norm(updates)
        bound = jnp.asarray(largest, norm.dtype)
        factor = jnp.where(norm > bound, bound / jnp.where(norm > 0, norm, 1), jnp.ones((), norm.dtype))
        return jax.tree.map(lambda u: u * factor.astype(u.dtype), updates), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def zero_trace(params: Any) -> Any:
    """Return a buffer of zeros like the parameters."""
    return optax.TraceState(trace=jax.tree.map(jnp.zeros_like, params))
