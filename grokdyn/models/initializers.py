"""Initial weights of a linear layer by name, and the factor its parameterisation puts in front."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.models.draws import Draw, normal, truncated_normal, uniform

INITS = ("torch", "lecun", "gromov", "ntk", "mup", "normal")
# Standard deviation of a standard normal truncated at two: lecun_normal divides by it to keep its variance.
TRUNCATED_STD = 0.87962566103423978


def weight(key: jax.Array, init: str, fan_in: int, fan_out: int, width: int, dtype: Any) -> Draw:
    """Draw a weight [fan_in, fan_out].

    torch: U(-b, b), b = 1/sqrt(fan_in) (``nn.Linear``). lecun: normal truncated at two, variance 1/fan_in (flax's
    Dense). gromov: N(0, s^2), s = .5/(2N)^(1/3), N = ``width`` (Doshi et al. 2023). ntk and mup: N(0, 1), scaled in
    the forward pass by ``multiplier``. normal: N(0, 1) and not scaled, for an ``init_scale`` that is the deviation.

    Models draw in float64 and round to their dtype afterwards, so a network starts the same in every dtype.
    """
    shape = (fan_in, fan_out)
    if init == "torch":
        bound = 1 / math.sqrt(fan_in)
        return uniform(key, shape, dtype, bound)
    if init == "lecun":
        return truncated_normal(key, shape, dtype).then(lambda x: x / (TRUNCATED_STD * math.sqrt(fan_in)))
    if init == "gromov":
        return normal(key, shape, dtype).then(lambda x: x * (0.5 / (2 * width) ** (1 / 3)))
    return normal(key, shape, dtype)


def bias(key: jax.Array, init: str, fan_in: int, fan_out: int, dtype: Any) -> Draw | jax.Array:
    """Draw a bias [fan_out]: U(-1/sqrt(fan_in), 1/sqrt(fan_in)) for torch, zero for the others."""
    if init != "torch":
        return jnp.zeros(fan_out, dtype)
    bound = 1 / math.sqrt(fan_in)
    return uniform(key, (fan_out,), dtype, bound)


def multiplier(init: str, fan_in: int, last: bool) -> float:
    """Return what multiplies W h in the forward pass.

    ntk: 1/sqrt(fan_in) everywhere (Jacot et al. 2018). mup: the same, but 1/fan_in at the readout (Yang & Hu 2021;
    learning rates are the optimizer's and are not rescaled per layer). Others: 1.
    """
    if init == "mup" and last:
        return 1 / fan_in
    return 1 / math.sqrt(fan_in) if init in ("ntk", "mup") else 1.0
