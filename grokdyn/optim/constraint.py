"""Training on a sphere: the weights' norm held."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from grokdyn.optim.base import Wrapper
from grokdyn.optim.perpgrad import SCOPES, dot
from grokdyn.spec.base import field
from grokdyn.spec.rules import Choice, Number, Optional


class NormConstraint(Wrapper):
    """Rescale the parameters after each step of the inner optimizer, see ``norm_constraint``
    (Omnigrok, Liu et al. 2023). Tensors that start at 0, such as biases, stay 0 by ``scope = "tensor"`` without a norm.

    Outermost of all wrappers, or what is outside changes the norm again.
    """

    norm: float | None = field(
        Optional(Number(0, open_low=True)), default=None, doc="L2 norm held; none: that at the start"
    )
    scope: str = field(Choice(SCOPES), default="global", doc="of all parameters as one vector, or of each tensor")

    def transform(self) -> optax.GradientTransformation:
        return optax.chain(self.inner.transform(), norm_constraint(self.norm, self.scope))


class NormState(NamedTuple):
    """The norms to hold: one of all parameters, or one of each tensor."""

    norms: tuple[jax.Array, ...]


def norm_constraint(norm: Any = None, scope: str = "global") -> optax.GradientTransformation:
    """Turn an update w -> w + u into w -> N (w + u) / |w + u|, as an optax transform to chain after an optimizer.

    N is ``norm``, which may be traced, or the norm of the parameters that ``init`` saw. Parameters that are all 0 stay
    as the update leaves them. Sums run in float64 where JAX's 64-bit mode is on, else in float32.

    Args:
        scope: ``"global"``: |.| of all parameters as one vector; ``"tensor"``: every tensor by itself.

    Raises:
        ValueError: for an unknown scope, or if ``update`` is called without params.
    """
    if scope not in SCOPES:
        raise ValueError(f"scope: got {scope!r}; allowed: one of {', '.join(SCOPES)}")

    def init(params: Any) -> NormState:
        groups = grouped(jax.tree.leaves(params), scope)
        return NormState(tuple(length(group).astype(jnp.result_type(*group)) for group in groups))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        if params is None:
            raise ValueError("norm_constraint needs the parameters: call update(updates, state, params)")
        leaves, tree = jax.tree.flatten(updates)
        weights = tree.flatten_up_to(params)
        moved = [w + u for w, u in zip(weights, leaves, strict=True)]
        found = []
        for group, first in zip(grouped(moved, scope), state.norms, strict=True):
            size = length(group)
            target = first.astype(size.dtype) if norm is None else jnp.asarray(norm, size.dtype)
            factor = jnp.where(size > 0, target / jnp.where(size > 0, size, 1), 1)
            found += [x * factor.astype(x.dtype) for x in group]
        return tree.unflatten([new - w for new, w in zip(found, weights, strict=True)]), state

    return optax.GradientTransformation(init, update)


def grouped(leaves: list[jax.Array], scope: str) -> list[list[jax.Array]]:
    """Return the tensors whose norm is held together."""
    if scope == "global":
        return [leaves] if leaves else []
    return [[leaf] for leaf in leaves]


def length(group: list[jax.Array]) -> jax.Array:
    return jnp.sqrt(dot(group, group))
