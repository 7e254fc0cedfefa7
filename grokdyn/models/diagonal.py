"""Linear functions whose weights are differences of squares."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.models.base import Model
from grokdyn.models.mlp import embedded
from grokdyn.models.output import Output, Params
from grokdyn.tasks.signature import Signature


class Diagonal(Model):
    """Diagonal linear network of two layers, f_c(x) = (u_c^2 - v_c^2) . x (Woodworth et al. 2020, Lyu et al. 2024).

    All parameters are 1 at step 0, so that ``init_scale`` is their alpha and f starts at 0. Parameters: ``u``, ``v``
    [D, outputs]. Tokens enter as one-hot codes. With two classes f_0 = -f_1 at all steps, and the cross-entropy is the
    logistic loss of their f at sqrt(2) alpha. ``theory.diagonal`` has the flow in train rows times outputs numbers.
    """

    def initial(self, key: jax.Array, signature: Signature, dtype: Any) -> dict[str, Any]:
        return {name: jnp.ones((signature.inputs.entries, signature.outputs), dtype) for name in ("u", "v")}

    def apply(self, params: Params, inputs: jax.Array) -> Output:
        u, v = params["u"], params["v"]
        return Output(embedded(jnp.square(u) - jnp.square(v), inputs), {})
