"""perpGrad: gradients without their component along the weights."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from grokdyn.optim.base import Wrapper
from grokdyn.spec.base import field
from grokdyn.spec.rules import Choice, Flag

SCOPES = ("tensor", "global")
# A remainder below this many units of rounding of |g| is rounding. A gradient c w that is stored, projected by a
# rounded coefficient and subtracted has three roundings an entry, each of at most half a unit: |rest| <= 1.5 units.
NOISE = 4


class PerpGrad(Wrapper):
    """perpGrad (Prieto et al. 2025): the inner optimizer on gradients made orthogonal to the weights, see ``perpgrad``.

    The released code projects per tensor and restores the norm; the paper's equation has the projection alone. Its
    figures used AdamW with betas .9/.999 and eps 1e-8, whatever was asked for, as its wrapper loses them.
    """

    scope: str = field(Choice(SCOPES), default="tensor", doc="project each tensor, or all parameters as one vector")
    rescale: bool = field(Flag(), default=True, doc="restore the norm of the gradient")

    def before(self) -> list[optax.GradientTransformation]:
        return [perpgrad(self.scope, self.rescale)]


def perpgrad(scope: str = "tensor", rescale: bool = True) -> optax.GradientTransformation:
    """Remove from the gradient its component along the weights, as an optax transform to chain before an optimizer.

    g_perp = g - (<w, g> / <w, w>) w, then times |g| / |g_perp| if ``rescale`` (Prieto et al. 2025). For example
    ``optax.chain(perpgrad(), optax.adamw(1e-3))``.

    The result is finite and orthogonal to w to rounding. It is 0 for a zero gradient, for one parallel to w to
    within rounding (4 units of |g|: rescaling would make a direction of round-off), and so for every tensor of one
    entry whose weight is not 0. Where the weights are 0 the gradient passes unchanged. Sums run in float64 where
    JAX's 64-bit mode is on, else in float32.

    Args:
        scope: ``"tensor"``: every tensor by itself; ``"global"``: all parameters as one vector.
        rescale: restore the norm of the gradient, of each tensor or of the whole.

    Returns:
        a ``GradientTransformation``, whose ``update`` needs the params.

    Raises:
        ValueError: for an unknown scope, if ``update`` is called without params, or with tensors that are no floats or
            not shaped as the parameters.
    """
    if scope not in SCOPES:
        raise ValueError(f"scope: got {scope!r}; allowed: one of {', '.join(SCOPES)}")

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        if params is None:
            raise ValueError("perpgrad needs the parameters: call update(updates, state, params)")
        gradients, tree = jax.tree.flatten(updates)
        weights = tree.flatten_up_to(params)
        gradients, weights = ([jnp.asarray(x) for x in tensors] for tensors in (gradients, weights))
        check(gradients, weights)
        if scope == "global":
            return tree.unflatten(perpendicular(gradients, weights, rescale)), state
        found = [perpendicular([g], [w], rescale)[0] for g, w in zip(gradients, weights, strict=True)]
        return tree.unflatten(found), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def check(gradients: list[jax.Array], weights: list[jax.Array]) -> None:
    """Refuse gradients that are no floats, or shaped otherwise than their weights."""
    for g, w in zip(gradients, weights, strict=True):
        told = " and ".join(f"{x.dtype} {list(x.shape)}" for x in (g, w))
        if not all(jnp.issubdtype(x.dtype, jnp.floating) for x in (g, w)) or g.shape != w.shape:
            raise ValueError(f"updates: got {told} for a tensor and its weights; allowed: floats of one shape")


def perpendicular(gradients: list[jax.Array], weights: list[jax.Array], rescale: bool) -> list[jax.Array]:
    """Return the tensors of the gradient, taken as one vector, without their component along the weights."""
    if not gradients:
        return []
    wide = [widest(a.dtype, b.dtype) for a, b in zip(gradients, weights, strict=True)]
    # Scaled to order 1 by powers of two, which rounds nothing: squares neither underflow nor overflow.
    (g, size), (w, _) = (
        scaled([x.astype(dtype) for x, dtype in zip(tensors, wide, strict=True)]) for tensors in (gradients, weights)
    )
    w_squared = dot(w, w)
    length = jnp.sqrt(dot(g, g))

    def without_component(v: list[jax.Array]) -> list[jax.Array]:
        along = dot(w, v) / jnp.where(w_squared > 0, w_squared, 1)
        return [a - along.astype(a.dtype) * b for a, b in zip(v, w, strict=True)]

    # A second pass removes what the rounding of the first left along w, which matters where little else is left.
    rest = without_component(without_component(g))
    rest_length = jnp.sqrt(dot(rest, rest))
    noise = NOISE * max(float(jnp.finfo(a.dtype).eps) for a in gradients)
    kept = rest_length > noise * length
    factor = length / jnp.where(kept, rest_length, 1) if rescale else jnp.ones_like(length)
    factor = jnp.where(kept, factor, 0)
    whole = [v * factor.astype(v.dtype) * size.astype(v.dtype) for v in rest]
    return [v.astype(a.dtype) for v, a in zip(whole, gradients, strict=True)]


def widest(*dtypes: Any) -> Any:
    """Return the widest of float types, float32 at least."""
    return max((jnp.dtype(dtype) for dtype in (jnp.float32, *dtypes)), key=lambda dtype: dtype.itemsize)


def scaled(tensors: list[jax.Array]) -> tuple[list[jax.Array], jax.Array]:
    """Return wide tensors divided by a power of two near their largest entry, and that power."""
    dtype = widest(*(x.dtype for x in tensors))
    largest = jnp.max(jnp.stack([jnp.max(jnp.abs(x), initial=0).astype(dtype) for x in tensors]))
    info = jnp.finfo(dtype)
    # Rounded to no bits of mantissa a number is a power of two; the bound keeps it from rounding up to infinity.
    exponent_bits = info.bits - info.nmant - 1
    power = lax.reduce_precision(jnp.minimum(largest, 2.0 ** (math.frexp(float(info.max))[1] - 2)), exponent_bits, 0)
    power = jnp.where(power > 0, power, 1)
    return [x / power.astype(x.dtype) for x in tensors], power


def dot(a: list[jax.Array], b: list[jax.Array]) -> jax.Array:
    """Return the inner product over all tensors, summed in the widest float there is."""
    dtype = jnp.result_type(float)
    return sum((jnp.sum(x.astype(dtype) * y.astype(dtype)) for x, y in zip(a, b, strict=True)), jnp.zeros((), dtype))
