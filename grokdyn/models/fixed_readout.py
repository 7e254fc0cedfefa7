"""A two-layer network whose readout is a constant."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.models.activations import ACTIVATIONS
from grokdyn.models.base import Model
from grokdyn.models.draws import normal
from grokdyn.models.layers import Layer
from grokdyn.models.mlp import embedded
from grokdyn.models.output import Output, Params
from grokdyn.spec.base import field
from grokdyn.spec.rules import Choice, Count, Integer
from grokdyn.tasks.base import Signature


class FixedReadout(Model):
    """Two-layer network f_k(x) = sum_j a_j phi(w_j . x) over the N units j of output k, with a_j fixed.

    a_j = +-1/sqrt(M) by fair coins, M the units of all outputs together. They are no parameters: nothing trains,
    decays or counts them. Coins are drawn from ``readout_seed``, not from a run's streams, so that all runs of a sweep
    share them unless it is an axis. w_j ~ N(0, I), so ``init_scale`` is their standard deviation. Tokens enter as
    one-hot codes. Parameters: ``W`` [D, M], an output's units side by side. Activations: ``pre_0``, ``hidden_0``.

    With two classes and cross-entropy it is exactly a network of M = 2N units and one output f under the logistic
    loss: -log softmax(f_0, f_1)_k = log(1 + exp(-y f)), f = f_1 - f_0, y = +1 for class 1 and -1 for class 0, and f is
    the sum of b_j phi(w_j . x) over all M units with b_j = a_j for those of output 1, -a_j for those of output 0: fair
    coins over sqrt(M) too (``votes``).
    """

    width: int = field(Count(1, 1_000_000), default=500, doc="N, units per output")
    activation: str = field(Choice(tuple(ACTIVATIONS)), default="relu", doc="phi")
    readout_seed: int = field(Integer(), default=0, doc="draws the signs of the readout")

    def initial(self, key: jax.Array, signature: Signature, dtype: Any) -> dict[str, Any]:
        return {"W": normal(key, (signature.inputs.entries, signature.outputs * self.width), dtype)}

    def readout(self, units: int, dtype: Any) -> jax.Array:
        """Return a [outputs, N] of a network with so many units in all."""
        coins = jax.random.bits(jax.random.key(self.readout_seed), (units,), jnp.uint32) & 1
        size = (1 / jnp.sqrt(jnp.float64(units))).astype(dtype)
        return jnp.where(coins == 1, size, -size).reshape(-1, self.width)

    def votes(self, units: int) -> jax.Array:
        """Return b [M] of a network of two outputs as one of a single output f_1 - f_0."""
        a = self.readout(units, jnp.float64)
        return jnp.concatenate([-a[0], a[1]])

    def apply(self, params: Params, inputs: jax.Array) -> Output:
        W = params["W"]
        h = embedded(W, inputs)
        hidden = ACTIVATIONS[self.activation](h)
        units = hidden.reshape(h.shape[0], -1, self.width)
        logits = jnp.einsum("rkj,kj->rk", units, self.readout(W.shape[1], W.dtype))
        return Output(logits, {"pre_0": h, "hidden_0": hidden})

    def linear_layers(self, params: Params, inputs: jax.Array, combinations: jax.Array) -> list[Layer] | None:
        W = params["W"]
        h = embedded(W, inputs)
        slope = jax.jvp(ACTIVATIONS[self.activation], (h,), (jnp.ones_like(h),))[1].reshape(
            h.shape[0], 1, -1, self.width
        )
        deltas = combinations[..., None] * self.readout(W.shape[1], h.dtype) * slope
        return [Layer(inputs, deltas.reshape(*deltas.shape[:2], -1), 1.0, False)]
