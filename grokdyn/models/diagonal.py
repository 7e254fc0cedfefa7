"""Linear functions whose weights are differences of squares."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.models.base import Model
from grokdyn.models.mlp import flat
from grokdyn.models.output import Output, Params
from grokdyn.spec.errors import Words
from grokdyn.tasks.shapes import Conflicts, Shapes
from grokdyn.tasks.signature import Signature, Tokens


class Diagonal(Model):
    """Diagonal linear network of two layers, f_c(x) = (u_c^2 - v_c^2) . x (Woodworth et al. 2020, Lyu et al. 2024).

    All parameters are 1 at step 0, so that ``init_scale`` is their alpha and f starts at 0. Parameters: ``u``, ``v``
    [D, outputs]. With two classes f_0 = -f_1 at all steps, and the cross-entropy is the logistic loss of their f at
    sqrt(2) alpha. ``theory.diagonal`` has the flow in as many numbers as there are train rows times outputs.
    """

    def initial(self, key: jax.Array, signature: Signature, dtype: Any) -> dict[str, Any]:
        return {name: jnp.ones((signature.inputs.entries, signature.outputs), dtype) for name in ("u", "v")}

    def conflicts(self, shapes: Shapes) -> Conflicts:
        yield from super().conflicts(shapes)
        if isinstance(shapes.signature.inputs, Tokens):
            yield "kind", Words("inputs that are tokens"), "real vectors or images; or another model, such as mlp"

    def apply(self, params: Params, inputs: jax.Array) -> Output:
        u, v = params["u"], params["v"]
        return Output(flat(inputs).astype(u.dtype) @ (jnp.square(u) - jnp.square(v)), {})
