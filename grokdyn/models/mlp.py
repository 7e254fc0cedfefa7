"""Multilayer perceptron on token pairs or on vectors."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.models.activations import ACTIVATIONS
from grokdyn.models.draws import layer_keys
from grokdyn.models.initializers import INITS, bias, multiplier, weight
from grokdyn.models.layered import Layered, Passage
from grokdyn.models.layers import Layer
from grokdyn.models.output import MEASURED, Mode, Output, Params
from grokdyn.models.torch_layers import linear_layers, norm_layers, sequential
from grokdyn.spec.base import field
from grokdyn.spec.rules import Choice, Counts, Flag
from grokdyn.tasks.base import Signature


class MLP(Layered):
    """Fully connected network: h_0 = x, h_{l+1} = phi(h_l W_l + b_l), logits = h_L W_L + b_L.

    Tokens enter as their one-hot codes, one block of the input per position; the product with W_0 is then a sum of
    one row per position, and is computed as that gather. Parameters are ``W_0, b_0, W_1, ...``, W_l of shape
    [fan_in, fan_out]. Activations: ``pre_l``, what phi is of, and ``hidden_l``, what the next layer reads.

    Hidden layers may have a norm and dropout, see ``models.layered``. With ``residual`` every hidden layer but the
    first adds what it gives to what it reads: h_{l+1} = h_l + phi(h_l W_l + b_l).
    """

    hidden: tuple[int, ...] = field(Counts(1, 100_000, empty=True), default=(128,), doc="widths of the hidden layers")
    activation: str = field(Choice(tuple(ACTIVATIONS)), default="relu", doc="phi")
    bias: bool = field(Flag(), default=False, doc="with b_l")
    init: str = field(Choice(INITS), default="torch", doc="distribution of the weights at step 0")
    residual: bool = field(Flag(), default=False, doc="hidden layers but the first add to what they read", kw_only=True)

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if self.residual and len(set(self.hidden)) > 1:
            yield "residual", True, f"false, or hidden layers of one width; here {list(self.hidden)}"

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        if not self.hidden:
            fields = "activation", "norm", "norm_at", "norm_eps", "norm_momentum", "ghost", "dropout", "dropout_at"
            yield from ((name, "there is no hidden layer") for name in fields)
        if len(self.hidden) < 2:
            yield "residual", "there is no hidden layer above another"

    @property
    def rows_interact(self) -> bool:
        return super().rows_interact and bool(self.hidden)

    def units(self, signature: Signature) -> tuple[int, ...]:
        return self.hidden

    def sizes(self, signature: Signature) -> tuple[int, ...]:
        """Return the widths of all layers, input and output included."""
        return (signature.inputs.entries, *self.hidden, signature.outputs)

    def initial(self, key: jax.Array, signature: Signature, dtype: Any) -> dict[str, Any]:
        sizes = self.sizes(signature)
        params, keys = {}, layer_keys(key, len(sizes) - 1)
        for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
            weight_key, bias_key = keys[layer]
            width = fan_out if layer < len(self.hidden) else fan_in
            params[f"W_{layer}"] = weight(weight_key, self.init, fan_in, fan_out, width, dtype)
            if self.bias:
                params[f"b_{layer}"] = bias(bias_key, self.init, fan_in, fan_out, dtype)
        return params | self.norm_params(signature, dtype)

    def apply(self, params: Params, inputs: jax.Array, mode: Mode = MEASURED) -> Output:
        depth, passage, z = len(self.hidden), Passage(self, params, mode), inputs
        for layer in range(depth + 1):
            W, below = params[f"W_{layer}"], z
            z = embedded(W, z) if layer == 0 else z @ W
            factor = multiplier(self.init, W.shape[0], last=layer == depth)
            z = z if factor == 1.0 else z * jnp.asarray(factor, z.dtype)
            if self.bias:
                z = z + params[f"b_{layer}"]
            if layer < depth:
                z = passage.hidden(z, layer, below if self.residual and layer else None)
        return Output(z, passage.activations, passage.state)

    def linear_layers(self, params: Params, inputs: jax.Array, combinations: jax.Array) -> list[Layer] | None:
        if self.norm != "none" or self.residual:
            return None
        activations, phi = self.apply(params, inputs).activations, ACTIVATIONS[self.activation]
        d, found = combinations, []
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
        rest, norms = norm_layers(told, arrays, self.norm, self.hidden)
        return linear_layers(told, rest, self.hidden, self.bias) | norms

    def to_torch(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return sequential(params, len(self.hidden) + 1, self.norm, self.norm_at)


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
