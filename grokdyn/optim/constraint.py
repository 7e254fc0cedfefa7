"""Training on a sphere: the weights' norm held."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from grokdyn.optim.base import Wrapper
from grokdyn.optim.perpgrad import SCOPES, dot
from grokdyn.spec.base import field
from grokdyn.spec.rules import Choice, Integer, Number, Optional


class NormConstraint(Wrapper):
    """Rescale the parameters after each step of the inner optimizer, see ``norm_constraint``
    (Omnigrok, Liu et al. 2023). Tensors that start at 0, such as biases, stay 0 by ``scope = "tensor"`` without a norm.

    With ``at`` the run is free before that step, and from it on the same inner optimizer goes on, moments untouched,
    on the sphere (the clamp of 2606.13753): runs that differ in ``norm`` or ``factor`` alone are forks of one run.

    Outermost of all wrappers, or what is outside changes the norm again.
    """

    norm: float | None = field(
        Optional(Number(0, open_low=True)), default=None, doc="L2 norm held; none: that at the start, or at step at"
    )
    scope: str = field(Choice(SCOPES), default="global", doc="of all parameters as one vector, or of each tensor")
    factor: float = field(Number(0, open_low=True), default=1.0, doc="multiplies the norm held")
    at: int | None = field(Optional(Integer()), default=None, doc="step whose next update is the first held; none: 0")

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        if self.at is not None and self.at >= steps:
            yield from ((name, f"the run ends at step {steps}") for name in ("at", "norm", "factor"))

    def after(self) -> list[optax.GradientTransformation]:
        return [norm_constraint(self.norm, self.scope, self.factor, self.at)]


class NormState(NamedTuple):
    """The norms to hold, one of all parameters or one of each tensor, and where the hold begins later, the updates."""

    norms: tuple[jax.Array, ...]
    count: jax.Array | tuple[()] = ()


def norm_constraint(
    norm: Any = None, scope: str = "global", factor: Any = 1.0, at: Any = None
) -> optax.GradientTransformation:
    """Turn an update w -> w + u into w -> N (w + u) / |w + u|, as an optax transform to chain after an optimizer.

    N is ``factor`` times ``norm``, or times the norm of the parameters that ``init`` saw. The updates before number
    ``at``, counted from 0, pass unchanged, and the norm that is taken from parameters is that before update ``at``.
    Numbers may be traced. Parameters that are all 0 stay as the update leaves them. Sums run in float64 where JAX's
    64-bit mode is on, else in float32.

    Args:
        scope: ``"global"``: |.| of all parameters as one vector; ``"tensor"``: every tensor by itself.
        at: None to hold from the start.

    Returns:
        a ``GradientTransformation``, whose ``update`` needs the params.

    Raises:
        ValueError: for an unknown scope, or if ``update`` is called without params.
    """
    if scope not in SCOPES:
        raise ValueError(f"scope: got {scope!r}; allowed: one of {', '.join(SCOPES)}")

    def sizes(leaves: list[jax.Array]) -> tuple[jax.Array, ...]:
        return tuple(length(group).astype(jnp.result_type(*group)) for group in grouped(leaves, scope))

    def init(params: Any) -> NormState:
        return NormState(sizes(jax.tree.leaves(params)), () if at is None else jnp.zeros((), jnp.int32))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        if params is None:
            raise ValueError("norm_constraint needs the parameters: call update(updates, state, params)")
        leaves, tree = jax.tree.flatten(updates)
        weights = tree.flatten_up_to(params)
        if at is not None:
            now = [jnp.where(state.count == at, new, old) for new, old in zip(sizes(weights), state.norms, strict=True)]
            state = NormState(tuple(now), state.count + jnp.ones((), jnp.int32))
        held = rescaled([w + u for w, u in zip(weights, leaves, strict=True)], state.norms)
        change = [new - w for new, w in zip(held, weights, strict=True)]
        if at is not None:
            change = [jnp.where(state.count > at, new, u) for new, u in zip(change, leaves, strict=True)]
        return tree.unflatten(change), state

    def rescaled(moved: list[jax.Array], norms: tuple[jax.Array, ...]) -> list[jax.Array]:
        found = []
        for group, first in zip(grouped(moved, scope), norms, strict=True):
            size = length(group)
            target = first.astype(size.dtype) if norm is None else jnp.asarray(norm, size.dtype)
            target = target * jnp.asarray(factor, size.dtype)
            times = jnp.where(size > 0, target / jnp.where(size > 0, size, 1), 1)
            found += [x * times.astype(x.dtype) for x in group]
        return found

    return optax.GradientTransformation(init, update)


def grouped(leaves: list[jax.Array], scope: str) -> list[list[jax.Array]]:
    """Return the tensors whose norm is held together."""
    if scope == "global":
        return [leaves] if leaves else []
    return [[leaf] for leaf in leaves]


def length(group: list[jax.Array]) -> jax.Array:
    return jnp.sqrt(dot(group, group))
