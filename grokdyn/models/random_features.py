"""Random features: a fixed random layer under a trained readout."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.models.activations import ACTIVATIONS
from grokdyn.models.base import Model
from grokdyn.models.draws import normal, together
from grokdyn.models.layers import Layer
from grokdyn.models.mlp import flat
from grokdyn.models.output import Output, Params
from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.rules import Choice, Count, Integer, Number
from grokdyn.tasks.shapes import Conflicts, Shapes
from grokdyn.tasks.signature import Signature, Tokens


class RandomFeatures(Model):
    """Linear readout of N fixed random features: logits = phi(x A + b) W / sqrt(N) (Rahimi & Recht 2007).

    A_ij ~ N(0, gain^2/D), b_j ~ N(0, shift^2), D the entries of an input; Abbe et al. (2023) have gain 1 and
    shift 1/sqrt(D). They are constants of the run and follow ``draw`` alone, whatever the run's seed: sweep
    ``model.draw`` for other features. The readout, ``W`` [N, outputs], is the only parameter and starts at 0, so that
    gradient descent on squared error goes to the interpolator of least norm under the features' kernel, which is the
    tangent kernel of every step. Activations: ``pre_0``, ``hidden_0``.
    """

    width: int = field(Count(1, 1_000_000), default=1024, doc="N, number of features")
    activation: str = field(Choice(tuple(ACTIVATIONS)), default="relu", doc="phi")
    gain: float = field(Number(0), default=1.0, doc="standard deviation of x A for entries of size 1")
    shift: float = field(Number(0), default=0.5, doc="standard deviation of b")
    draw: int = field(Integer(), default=0, doc="seed of the features")

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        yield from super().ignored(steps)
        yield "init_scale", "the readout starts at 0"

    def initial(self, key: jax.Array, signature: Signature, dtype: Any) -> dict[str, Any]:
        return {"W": jnp.zeros((self.width, signature.outputs), dtype)}

    def features(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return x A + b and phi of it [rows, N], for vectors x [rows, D]."""
        keys, entries = jax.random.split(jax.random.key(self.draw), 2), x.shape[1]
        # Drawn in float64 and rounded, so that the features are the same in every dtype.
        A, b = together(
            [normal(keys[0], (entries, self.width), jnp.float64), normal(keys[1], (self.width,), jnp.float64)]
        )
        A, b = A * (self.gain / entries**0.5), b * self.shift
        pre = x @ A.astype(x.dtype) + b.astype(x.dtype)
        return pre, ACTIVATIONS[self.activation](pre)

    def conflicts(self, shapes: Shapes) -> Conflicts:
        yield from super().conflicts(shapes)
        if isinstance(shapes.signature.inputs, Tokens):
            yield "kind", Words("inputs that are tokens"), "real vectors or images; or another model, such as mlp"

    def apply(self, params: Params, inputs: jax.Array) -> Output:
        W = params["W"]
        pre, hidden = self.features(flat(inputs).astype(W.dtype))
        return Output(hidden @ W * jnp.asarray(self.width**-0.5, W.dtype), {"pre_0": pre, "hidden_0": hidden})

    def linear_layers(self, params: Params, inputs: jax.Array, combinations: jax.Array) -> list[Layer] | None:
        hidden = self.apply(params, inputs).activations["hidden_0"]
        return [Layer(hidden, combinations, self.width**-0.5, False)]
