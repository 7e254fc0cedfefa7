"""Multilayer perceptron on token pairs or on vectors."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.models.activations import ACTIVATIONS
from grokdyn.models.base import Model, Output, Params
from grokdyn.models.initializers import INITS, bias, multiplier, weight
from grokdyn.models.layers import Layer
from grokdyn.models.torch_layers import linear_layers
from grokdyn.spec.base import field
from grokdyn.spec.rules import Choice, Counts, Flag
from grokdyn.tasks.base import Signature


class MLP(Model):
    """Fully connected network: h_0 = x, h_{l+1} = phi(h_l W_l + b_l), logits = h_L W_L + b_L.

    Tokens enter as their one-hot codes, one block of the input per position; the product with W_0 is then a sum of
    one row per position, and is computed as that gather. Parameters are ``W_0, b_0, W_1, ...``, W_l of shape
    [fan_in, fan_out]. Activations: ``pre_l`` and ``hidden_l``.
    """

    hidden: tuple[int, ...] = field(Counts(1, 100_000, empty=True), default=(128,), doc="widths of the hidden layers")
    activation: str = field(Choice(tuple(ACTIVATIONS)), default="relu", doc="phi")
    bias: bool = field(Flag(), default=False, doc="with b_l")
    init: str = field(Choice(INITS), default="torch", doc="distribution of the weights at step 0")

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        if not self.hidden:
            yield "activation", "there is no hidden layer"

    def sizes(self, signature: Signature) -> tuple[int, ...]:
        """Return the widths of all layers, input and output included."""
        return (signature.inputs.entries, *self.hidden, signature.outputs)

    def initial(self, key: jax.Array, signature: Signature, dtype: Any) -> dict[str, Any]:
        sizes = self.sizes(signature)
        params = {}
        for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
            weight_key, bias_key = jax.random.split(jax.random.fold_in(key, layer))
            width = fan_out if layer < len(self.hidden) else fan_in
            params[f"W_{layer}"] = weight(weight_key, self.init, fan_in, fan_out, width, dtype)
            if self.bias:
                params[f"b_{layer}"] = bias(bias_key, self.init, fan_in, fan_out, dtype)
        return params

    def apply(self, params: Params, inputs: jax.Array) -> Output:
        phi, depth = ACTIVATIONS[self.activation], len(self.hidden)
        activations, z = {}, inputs
        for layer in range(depth + 1):
            W = params[f"W_{layer}"]
            z = embedded(W, z) if layer == 0 else z @ W
            factor = multiplier(self.init, W.shape[0], last=layer == depth)
            z = z if factor == 1.0 else z * jnp.asarray(factor, z.dtype)
            if self.bias:
                z = z + params[f"b_{layer}"]
            if layer < depth:
                activations[f"pre_{layer}"] = z
                z = activations[f"hidden_{layer}"] = phi(z)
        return Output(z, activations)

    def linear_layers(self, params: Params, inputs: jax.Array, combinations: jax.Array) -> list[Layer] | None:
        activations, phi = self.apply(params, inputs).activations, ACTIVATIONS[self.activation]
        d = combinations * jnp.asarray(self.output_scale, combinations.dtype)
        found = []
        for layer in reversed(range(len(self.hidden) + 1)):
            W = params[f"W_{layer}"]
            factor = multiplier(self.init, W.shape[0], last=layer == len(self.hidden))
            below = activations[f"hidden_{layer - 1}"] if layer else inputs
            found.append(Layer(below, d, factor, self.bias))
            if layer:
                pre = activations[f"pre_{layer - 1}"]
                slope = jax.jvp(phi, (pre,), (jnp.ones_like(pre),))[1]
                d = factor * (d @ W.T) * slope[:, None, :]
        return found[::-1]

    def from_torch(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        told = f"an mlp with hidden = {list(self.hidden)}" + (" and bias" if self.bias else ", without bias")
        return linear_layers(told, arrays, self.hidden, self.bias)


def embedded(W: jax.Array, inputs: jax.Array) -> jax.Array:
    """Return the first layer's x W for vectors and images, or for tokens the sum of the rows of W that they name."""
    if not jnp.issubdtype(inputs.dtype, jnp.integer):
        return flat(inputs).astype(W.dtype) @ W
    positions = inputs.shape[1]
    vocabulary = W.shape[0] // positions
    return sum(W[inputs[:, i] + i * vocabulary] for i in range(positions))  # pyright: ignore[reportReturnType]


def flat(inputs: jax.Array) -> jax.Array:
    """Return vectors [rows, width] as they are, images as vectors."""
    return inputs if inputs.ndim == 2 else inputs.reshape(inputs.shape[0], -1)
