"""What every optimizer has, and how its parts are chained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from grokdyn.optim.gradient import Gradient
from grokdyn.optim.schedules import Constant
from grokdyn.spec.base import Spec, field, rules
from grokdyn.spec.errors import Words
from grokdyn.spec.kinds import Part, kind_of
from grokdyn.spec.rules import Choice, Number, Optional
from grokdyn.tasks.shapes import Conflicts, Shapes


class AnyOptimizer(Spec):
    """Base of whatever moves parameters, optimizers and what wraps them."""

    reads_rows = False  # whether it reads single rows, their gradients or their logits

    @property
    def plain(self) -> bool:
        """Whether an update steps along the gradient at the parameters, which is one evaluation of it."""
        return type(self).estimate is AnyOptimizer.estimate and type(self).update is AnyOptimizer.update

    @property
    def gradients(self) -> int:
        """How many gradients an update takes; ``plan`` counts them."""
        return 1

    def init(self, params: Any) -> Any:
        """Return the memory before the first update, a tree of arrays."""
        return self.transform().init(params)

    def begin(self, params: Any, rows: int, outputs: int) -> Any:
        """Return the same for a table of so many rows and a model of so many logits, where single rows are kept of."""
        return self.init(params)

    def update(self, gradient: Gradient, params: Any, memory: Any) -> tuple[Any, Any]:
        """Return what to add to the parameters, and the new memory; the same in training and in recording.

        It steps along an ``estimate`` of the gradient as ``transform`` says. One that does otherwise writes this whole.
        """
        estimate, memory = self.estimate(gradient, params, memory)
        return self.transform().update(estimate, memory, params)

    def estimate(self, gradient: Gradient, params: Any, memory: Any) -> tuple[Any, Any]:
        """Return the gradient that the update steps along, and the memory after looking at it."""
        return gradient(params), memory

    def transform(self) -> optax.GradientTransformation:
        """Return the whole update as an optax transform, built from numbers that may be traced."""
        raise NotImplementedError

    def largest_curvature(self, step: Any) -> Any:
        """Return the largest curvature of a quadratic that updates made at a step do not leave, preconditioned.

        Where there is a preconditioner P, the curvature of the decay in ``coupled``, c, counts as the loss's does: the
        bound is one on P^-1/2 (H + c) P^-1/2. Without one it is on H alone.
        """
        raise NotImplementedError

    def coupled(self) -> Any:
        """Return the coefficient of an L2 term added to the gradient."""
        return None

    def preconditioner(self, state: Any) -> Any:
        """Return what divides the gradient, a tree like the parameters, from the transform's state; None: nothing."""
        return None

    def conflicts(self, shapes: Shapes) -> Conflicts:
        """Yield ``(field, came, allowed)`` where a field does not fit the model's parameters or the task."""
        for name, inner in inside(self):
            for path, came, allowed in inner.conflicts(shapes):
                yield f"{name}.{path}", came, allowed


def moved(optimizer: AnyOptimizer, gradient: Gradient, memory: Any, params: Any) -> tuple[Any, Any]:
    """Return an optimizer's update in the dtypes of the parameters, and its new memory in those of the old.

    Numbers may be traced in float64, and what an optax transform makes of float32 arrays with them is float64.
    """
    updates, new = optimizer.update(gradient, params, memory)
    return in_dtypes(updates, params), in_dtypes(new, memory)


def in_dtypes(tree: Any, like: Any) -> Any:
    """Return a tree with every array in the dtype of another tree's."""

    def kept(new: Any, old: Any) -> Any:
        wanted = jnp.result_type(old)
        return new if jnp.result_type(new) == wanted else jnp.asarray(new, wanted)

    return jax.tree.map(kept, tree, like)


def inside(optimizer: AnyOptimizer) -> Iterator[tuple[str, AnyOptimizer]]:
    """Yield the optimizers inside of another, by the field that holds them."""
    for name in rules(type(optimizer)):
        if isinstance(getattr(optimizer, name), AnyOptimizer):
            yield name, getattr(optimizer, name)


def within(optimizer: AnyOptimizer) -> Iterator[AnyOptimizer]:
    """Yield an optimizer and all inside of it."""
    yield optimizer
    for _, inner in inside(optimizer):
        yield from within(inner)


def readers_inside(inner: AnyOptimizer) -> Iterator[tuple[str, Any, str]]:
    """Yield a problem of a wrapper for whatever inside of it reads single rows."""
    for name in (kind_of(one) for one in within(inner) if one.reads_rows):
        yield "inner", Words(f"{name} inside"), f"{name} around it"


class Wrapper(AnyOptimizer):
    """Base of what changes the gradient or the update of an inner optimizer.

    What comes ``before`` acts on the gradient that the inner optimizer steps along, wherever that was taken; what comes
    ``after`` on its update; ``seen`` is where the gradient is taken. So SAM in a filter is the filter in SAM.
    """

    inner: Any = field(Part("optimizer"), doc="the optimizer inside")

    @property
    def plain(self) -> bool:
        own = type(self)
        untouched = own.seen is Wrapper.seen and own.estimate is Wrapper.estimate and own.update is AnyOptimizer.update
        return untouched and self.inner.plain

    @property
    def gradients(self) -> int:
        return self.inner.gradients

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if type(self).seen is not Wrapper.seen:
            yield from readers_inside(self.inner)

    def before(self) -> list[optax.GradientTransformation]:
        """Return transforms of the gradient before the inner optimizer steps along it."""
        return []

    def after(self) -> list[optax.GradientTransformation]:
        """Return transforms of the inner optimizer's update."""
        return []

    def seen(self, gradient: Gradient) -> Gradient:
        """Return the gradient function that the inner optimizer is given."""
        return gradient

    def transform(self) -> optax.GradientTransformation:
        before, after = self.before(), self.after()
        return optax.chain(*before, self.inner.transform(), *after) if before or after else self.inner.transform()

    def estimate(self, gradient: Gradient, params: Any, memory: Any) -> tuple[Any, Any]:
        gradient, place = self.seen(gradient), len(self.before())
        if type(self).transform is not Wrapper.transform or not (place or self.after()):
            return self.inner.estimate(gradient, params, memory)
        estimate, inner = self.inner.estimate(gradient, params, memory[place])
        return estimate, (*memory[:place], inner, *memory[place + 1 :])


class Optimizer(AnyOptimizer):
    """Base of optimizers: update = -learning_rate * schedule(t) * (direction + weight_decay * w).

    With ``decay_to = "init"`` the decay, decoupled or coupled, pulls to the first parameters w_0 that the optimizer
    saw: w - w_0 takes the place of w (an option of the code of Power et al. 2022).

    A subclass gives the ``direction`` of the (clipped) gradient as an optax transform. Numbers may be traced: the
    transform is built inside the compiled function, so a swept number and a fixed one take the same path.
    """

    by_name = True

    learning_rate: float = field(Number(0), default=1e-3, doc="step size")
    schedule: Any = field(Part("schedule"), default=Constant(), doc="factor on the learning rate over the steps")
    clip_norm: float | None = field(Optional(Number(0, open_low=True)), default=None, doc="largest global norm")
    decay_to: str = field(Choice(("zero", "init")), default="zero", doc="where weight decay pulls to")

    def direction(self) -> optax.GradientTransformation:
        """Return the transform from gradient to unscaled step."""
        raise NotImplementedError

    def decay(self) -> Any:
        """Return the decoupled weight decay, multiplied by the learning rate."""
        return None

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        if self.decay() in (None, 0) and self.coupled() in (None, 0):
            yield "decay_to", "there is no weight decay"

    def transform(self) -> optax.GradientTransformation:
        """Return the whole update as an optax transform."""
        clipping = [] if self.clip_norm is None else [clip_by_norm(self.clip_norm)]
        return optax.chain(*clipping, *self.parts())

    def parts(self) -> list[optax.GradientTransformation]:
        """Return the update from a gradient whose norm is small enough, in parts to be chained."""
        parts = []
        if self.coupled() is not None:
            parts.append(self.pull(self.coupled()))
        parts.append(self.direction())
        if self.decay() is not None:
            parts.append(self.pull(self.decay()))
        return [*parts, scale_by_schedule(self.learning_rate, self.schedule)]

    def pull(self, coefficient: Any) -> optax.GradientTransformation:
        """Return the transform that adds a decay."""
        return add_scaled_params(coefficient) if self.decay_to == "zero" else add_scaled_distance(coefficient)


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


class Anchor(NamedTuple):
    """The first parameters seen."""

    params: Any


def add_scaled_distance(coefficient: Any) -> optax.GradientTransformation:
    """Add coefficient * (w - w_0) to the updates, w_0 the parameters at the start; the coefficient may be traced."""

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        def pulled(u: jax.Array, w: jax.Array, first: jax.Array) -> jax.Array:
            return u + jnp.asarray(coefficient, u.dtype) * (w - first)

        return jax.tree.map(pulled, updates, params, state.params), state

    return optax.GradientTransformation(Anchor, update)


def clip_by_norm(largest: Any) -> optax.GradientTransformation:
    """Scale the gradient by min(1, largest / |g|), |g| its global L2 norm; a zero gradient stays zero.

    A gradient whose squares overflow is scaled down by a power of two first, which rounds nothing.
    """

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        norm = optax.tree.norm(updates)
        bound = jnp.asarray(largest, norm.dtype)
        factor = jnp.where(norm > bound, bound / jnp.where(norm > 0, norm, 1), jnp.ones((), norm.dtype))
        far, small = jnp.isinf(norm), 2.0 ** (-5 * jnp.finfo(norm.dtype).maxexp // 8)
        rest = optax.tree.norm(jax.tree.map(lambda u: u * jnp.asarray(small, u.dtype), updates))
        factor = jnp.where(far, bound / jnp.where(far, rest, 1), factor)
        shrink = jnp.where(far, small, 1).astype(norm.dtype)
        return jax.tree.map(lambda u: u * shrink.astype(u.dtype) * factor.astype(u.dtype), updates), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def zero_trace(params: Any) -> Any:
    """Return a buffer of zeros like the parameters."""
    return optax.TraceState(trace=jax.tree.map(jnp.zeros_like, params))
