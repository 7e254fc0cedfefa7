"""The soft committee machine of online learning theory."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.models.base import Model
from grokdyn.models.layers import Layer
from grokdyn.models.mlp import embedded
from grokdyn.models.output import Output, Params
from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.rules import Count, Number
from grokdyn.tasks.base import Signature
from grokdyn.tasks.shapes import Conflicts, Shapes


class SoftCommittee(Model):
    """Soft committee machine f(x) = sum_i g(w_i . x), g(h) = erf(h / sqrt 2), of K units (Saad & Solla 1995).

    w_i = along e_i + spread xi_i, xi_i ~ N(0, I/D), e_i the i-th axis. A teacher with ``along = 1`` and ``spread = 0``
    has orthonormal weights; a student's ``along`` is then its unit's overlap with the teacher's of the same number, and
    ``spread`` the length of the rest. Inputs of theory are x ~ N(0, I); an example's update there, eta/N times the
    gradient of half the squared error, is that of ``sgd`` with learning rate eta / (2 N) under ``mse`` and a
    ``batch_size`` of 1. Parameters: ``W`` [D, K]. Activations: ``pre_0``, ``hidden_0``.
    """

    width: int = field(Count(1, 10_000), default=2, doc="K, number of units")
    along: float = field(Number(), default=0.0, doc="entry of every unit on the axis of its number at step 0")
    spread: float = field(Number(0), default=1.0, doc="length of the random part of every unit at step 0")

    def conflicts(self, shapes: Shapes) -> Conflicts:
        yield from super().conflicts(shapes)
        outputs, entries = shapes.signature.outputs, shapes.signature.inputs.entries
        if outputs != 1:
            yield "kind", Words(f"{outputs} outputs"), "a task of one real target"
        if self.width > entries:
            yield "width", self.width, f"at most the length of an input, {entries}: every unit has an axis"

    def initial(self, key: jax.Array, signature: Signature, dtype: Any) -> dict[str, Any]:
        D = signature.inputs.entries
        xi = jax.random.normal(key, (D, self.width), dtype) / jnp.sqrt(jnp.asarray(D, dtype))
        axes = jnp.eye(D, self.width, dtype=dtype)
        return {"W": jnp.asarray(self.along, dtype) * axes + jnp.asarray(self.spread, dtype) * xi}

    def apply(self, params: Params, inputs: jax.Array) -> Output:
        h = embedded(params["W"], inputs)
        hidden = jax.lax.erf(h * jnp.asarray(0.5**0.5, h.dtype))
        return Output(jnp.sum(hidden, axis=-1, keepdims=True), {"pre_0": h, "hidden_0": hidden})

    def linear_layers(self, params: Params, inputs: jax.Array, combinations: jax.Array) -> list[Layer] | None:
        h = embedded(params["W"], inputs)
        slope = jnp.exp(-0.5 * jnp.square(h)) * jnp.asarray((2 / jnp.pi) ** 0.5, h.dtype)
        return [Layer(inputs, combinations * slope[:, None, :], 1.0, False)]
