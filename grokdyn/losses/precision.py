"""Softmax arithmetic that really rounds to the precision asked for.

XLA may keep excess precision: it is free to drop a conversion to float16 and back, and computes float16 in float32
on a CPU. Values of a narrow format are therefore carried in float32 and rounded by arithmetic that XLA must keep.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

PRECISIONS = ("float16", "bfloat16", "float32", "float64")
# Numbers in the widest vector register of a CPU.
VECTOR = 16
# XLA gives sums of so many numbers, or more, to a library on a CPU; what they are of is then a loop of its own.
LIBRARY = 4096
ROUNDINGS = ("every", "result")


class Format(NamedTuple):
    """Bits of a narrow float, and the exponent of its smallest subnormal where its subnormals count."""

    exponent_bits: int
    mantissa_bits: int
    smallest: int | None


# bfloat16 has the exponents of float32, whose subnormals XLA on CPU flushes to zero anyway.
NARROW = {"float16": Format(5, 10, -24), "bfloat16": Format(8, 7, None)}


def carrier(precision: str) -> str:
    """Return the dtype in which values of a precision are carried.

    Raises:
        ValueError: for float64 where JAX's 64-bit mode is off, which would make it float32 in silence.
    """
    if precision == "float64" and jnp.result_type(float) != jnp.float64:
        raise ValueError("precision float64 needs 64-bit JAX: grokdyn.run enables it, or use jax.enable_x64(True)")
    return "float32" if precision in NARROW else precision


def round_to(x: jax.Array, precision: str) -> jax.Array:
    """Round to nearest even in the precision, subnormals of float16 included; beyond its largest value is infinite."""
    if precision not in NARROW:
        return x
    form = NARROW[precision]
    normal = lax.reduce_precision(x, form.exponent_bits, form.mantissa_bits)
    if form.smallest is None:
        return normal
    # reduce_precision flushes subnormals. Scaling by a power of two is exact, and they are whole multiples of one.
    quantum = jnp.asarray(2.0**form.smallest, x.dtype)
    subnormal = lax.round(x / quantum, lax.RoundingMethod.TO_NEAREST_EVEN) * quantum
    return jnp.where(jnp.abs(x) < quantum * 2**form.mantissa_bits, subnormal, normal)


def rounded(x: jax.Array, precision: str) -> jax.Array:
    """Return ``x`` in the precision, in the carrier's dtype; its cotangent is rounded on the way back, as a cast's."""
    return narrowed(x, precision) if precision in NARROW else x.astype(carrier(precision))


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def narrowed(x: jax.Array, precision: str) -> jax.Array:
    return round_to(x, precision).astype(carrier(precision))


def narrowed_forward(x: jax.Array, precision: str) -> tuple[jax.Array, jax.Array]:
    # The empty array carries the dtype that the cotangent returns to.
    return round_to(x, precision).astype(carrier(precision)), jnp.zeros(0, x.dtype)


def narrowed_backward(precision: str, like: jax.Array, cotangent: jax.Array) -> tuple[jax.Array]:
    return (round_to(cotangent, precision).astype(like.dtype),)


narrowed.defvjp(narrowed_forward, narrowed_backward)


def shifted_exponentials(z: jax.Array, precision: str) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return z - max z, its exponentials, and their sum [rows, 1], each rounded.

    The terms of a sum are rounded; the sum itself accumulates in float32 (float64 for float64) and is rounded once,
    as PyTorch does for float16 on CPU and CUDA.
    """
    shifted = round_to(z - largest(z), precision)
    exponentials, total = exponentials_and_sum(shifted, precision)
    return shifted, exponentials[:, : z.shape[-1]], total


def sum_of_exponentials(z: jax.Array, precision: str) -> jax.Array:
    """Return the sum of exponentials of z - max z [rows], rounded as in ``shifted_exponentials``.

    A row has collapsed (Prieto et al. 2025) where it is exactly 1. So the largest is made 0 here: where z is a product,
    of logits and a scale, a CPU may take it and its subtraction as one operation that rounds once, and the largest less
    itself is what rounding had taken off it. A loss takes the logarithm of the same sum off again and a gradient
    divides by it: both stay within rounding.
    """
    top = largest(z)
    shifted = jnp.where(z < top, z - top, top - top)  # nan where the largest is infinite, as inf - inf
    return exponentials_and_sum(round_to(shifted, precision), precision)[1][:, 0]


def largest(z: jax.Array) -> jax.Array:
    """Return the largest number of every row [rows, 1], which is not differentiated."""
    return jax.lax.stop_gradient(jnp.max(z, axis=-1, keepdims=True))


def exponentials_and_sum(shifted: jax.Array, precision: str) -> tuple[jax.Array, jax.Array]:
    """Return the exponentials of rows, filled up, and their sum [rows, 1], each rounded."""
    exponentials = round_to(jnp.exp(filled(shifted)), precision)
    return exponentials, round_to(jnp.sum(exponentials, axis=-1, keepdims=True), precision)


def filled(z: jax.Array) -> jax.Array:
    """Return rows, where they are few filled up with -inf, whose exponential is 0, to whole vectors.

    A CPU takes the shift and exponentials of few rows in one loop, row by row, and what is left of a row after its last
    whole vector one by one: of 23 classes 7, three times as slow as filled up when those were one loop. One class over
    costs less than filling up. Of many rows the exponentials are one loop over all numbers, and filled up it
    would be one over rows again, which takes five times as long to compile.
    """
    left = z.shape[-1] % VECTOR
    if left < 2 or z.size >= LIBRARY:
        return z
    return jnp.pad(z, ((0, 0), (0, VECTOR - left)), constant_values=-jnp.inf)


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def narrow_log_softmax(z: jax.Array, precision: str, rounding: str = "every") -> jax.Array:
    """Return log softmax(z) of rows that are already in a narrow precision, see ``rounded``.

    Rounding ``every``: after each elementary operation, forward and backward. ``result``: the whole is computed in
    float32 and rounded once, forward and backward, as PyTorch's fused kernel does.
    """
    return narrow_forward(z, precision, rounding)[0]


def narrow_forward(z: jax.Array, precision: str, rounding: str) -> tuple[jax.Array, Any]:
    if rounding == "result":
        result = round_to(jax.nn.log_softmax(z), precision)
        return result, (result,)
    shifted, exponentials, total = shifted_exponentials(z, precision)
    result = round_to(shifted - round_to(jnp.log(total), precision), precision)
    return result, (exponentials, total)


def narrow_backward(precision: str, rounding: str, residuals: Any, cotangent: jax.Array) -> tuple[jax.Array]:
    cotangent = round_to(cotangent, precision)
    summed = jnp.sum(cotangent, axis=-1, keepdims=True)
    if rounding == "result":
        return (round_to(cotangent - jnp.exp(residuals[0]) * summed, precision),)
    exponentials, total = residuals
    probabilities = round_to(exponentials / total, precision)
    flow = round_to(probabilities * round_to(summed, precision), precision)
    return (round_to(cotangent - flow, precision),)


narrow_log_softmax.defvjp(narrow_forward, narrow_backward)
