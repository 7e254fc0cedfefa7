"""Linear layers as a tangent kernel sees them."""

from __future__ import annotations

from typing import NamedTuple

import jax


class Layer(NamedTuple):
    """One linear layer z = factor * h W + b on some rows.

    With c_1..c_r combinations of the logits, the gradient of c_a . f(x_i) in W is factor * h_i d_ia^T and in b is d_ia:
    products of two gradients need h and d alone (no gradient is ever formed).

    Attributes:
        inputs: h [rows, fan_in], or int32 tokens [rows, positions] that stand for their one-hot codes.
        deltas: d, the gradients of c_a . f(x_i) in z [rows, r, fan_out]; rows may be 1 where all are the same.
        factor: what multiplies h W.
        bias: whether b is trained.
    """

    inputs: jax.Array
    deltas: jax.Array
    factor: float
    bias: bool
