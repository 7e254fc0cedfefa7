"""The committee machine whose tangent kernel has a closed form."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.models.base import Model
from grokdyn.models.draws import normal
from grokdyn.models.layers import Layer
from grokdyn.models.mlp import embedded
from grokdyn.models.output import Output, Params
from grokdyn.spec.base import field
from grokdyn.spec.rules import Count, Number
from grokdyn.tasks.base import Signature


class Committee(Model):
    """Committee machine f(x) = (1/N) sum_i phi(w_i . x), phi(h) = h + (epsilon/2) h^2 (Kumar et al. 2024).

    Readouts are fixed; every output of a task with several has its own N units. w_i ~ N(0, I). The paper's alpha is
    ``output_scale``; its f - f_0 and its rate over alpha^2 are ``centred`` and ``rescaled``. Tokens enter as one-hot
    codes. Parameters: ``W`` [D, outputs * N], an output's units side by side.

    f = wbar . x + (epsilon/2) x^T M x with wbar = mean_i w_i and M = (1/N) sum_i w_i w_i^T. Where vectors have fewer
    entries than an output has units, f is computed from these two moments, which costs D/N of the units' own sum.
    """

    width: int = field(Count(1, 1_000_000), default=500, doc="N, units per output")
    epsilon: float = field(Number(0), default=0.25, doc="weight of the quadratic part")

    def initial(self, key: jax.Array, signature: Signature, dtype: Any) -> dict[str, Any]:
        return {"W": normal(key, (signature.inputs.entries, signature.outputs * self.width), dtype)}

    def apply(self, params: Params, inputs: jax.Array) -> Output:
        W = params["W"]
        half = jnp.asarray(0.5 * self.epsilon, W.dtype)
        if not jnp.issubdtype(inputs.dtype, jnp.integer) and W.shape[0] < self.width:
            return Output(self.from_moments(W, inputs.astype(W.dtype), half), {})
        h = embedded(W, inputs)
        phi = (h + half * jnp.square(h)).reshape(h.shape[0], -1, self.width)
        return Output(jnp.mean(phi, axis=-1), {"pre_0": h})

    def linear_layers(self, params: Params, inputs: jax.Array, combinations: jax.Array) -> list[Layer] | None:
        h = embedded(params["W"], inputs)
        slope = (1 + jnp.asarray(self.epsilon, h.dtype) * h).reshape(h.shape[0], 1, -1, self.width)
        deltas = (jnp.ones((), h.dtype) / self.width) * combinations[..., None] * slope
        return [Layer(inputs, deltas.reshape(*deltas.shape[:2], -1), 1.0, False)]

    def from_moments(self, W: jax.Array, x: jax.Array, half: jax.Array) -> jax.Array:
        """Return f [rows, outputs] from wbar and M of every output."""
        units = W.reshape(W.shape[0], -1, self.width)
        M = jnp.einsum("dok,eok->ode", units, units) / self.width
        linear = x @ jnp.mean(units, axis=-1)
        return linear + half * jnp.sum(jnp.einsum("rd,ode->ore", x, M) * x, axis=-1).T
