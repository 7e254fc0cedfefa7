"""Convolutional network on images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.models.activations import ACTIVATIONS
from grokdyn.models.convolution import convolved, places, pooled
from grokdyn.models.draws import layer_keys
from grokdyn.models.initializers import INITS, bias, multiplier, weight
from grokdyn.models.layered import Layered, Passage
from grokdyn.models.output import MEASURED, Mode, Output, Params
from grokdyn.models.torch_layers import convolutional, convolutional_layers
from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.rules import Choice, Count, Counts, Flag
from grokdyn.tasks.shapes import Conflicts, Shapes
from grokdyn.tasks.signature import Images, Signature


class CNN(Layered):
    """Convolutions, each with pooling behind it, then fully connected layers: phi(h * W_l + b_l) ... -> logits.

    Layers are numbered from the first convolution to the readout. Kernels ``W_l`` are [size, size, channels, outputs],
    matrices [fan_in, fan_out]; fan_in of a kernel is size^2 channels. A convolution's norm is over places too, as
    ``nn.BatchNorm2d``; the others of ``models.layered`` are over channels. Activations: ``pre_l``, ``hidden_l``, of a
    convolution [rows, height, width, channels] before pooling.
    """

    channels: tuple[int, ...] = field(Counts(1, 10_000), default=(8, 16), doc="outputs of the convolutions")
    kernel: int = field(Count(1, 99), default=3, doc="height and width of the kernels")
    stride: int = field(Count(1, 99), default=1, doc="places by which a kernel moves")
    padding: int = field(Count(0, 99), default=1, doc="zeros around an image")
    pool: str = field(Choice(("none", "max", "mean")), default="max", doc="of windows behind a convolution")
    pool_size: int = field(Count(1, 99), default=2, doc="height and width of those windows, which lie side by side")
    readout: str = field(Choice(("flat", "mean")), default="flat", doc="all places, or their mean, are read")
    hidden: tuple[int, ...] = field(Counts(1, 100_000, empty=True), default=(), doc="widths of the layers behind them")
    activation: str = field(Choice(tuple(ACTIVATIONS)), default="relu", doc="phi")
    bias: bool = field(Flag(), default=True, doc="with b_l")
    init: str = field(Choice(INITS), default="torch", doc="distribution of the weights at step 0")

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        if self.pool == "none":
            yield "pool_size", "there is no pooling"

    def conflicts(self, shapes: Shapes) -> Conflicts:
        yield from super().conflicts(shapes)
        inputs = shapes.signature.inputs
        if not isinstance(inputs, Images):
            yield "kind", Words("inputs that are no images"), "a task of images, such as mnist with images = true"
            return
        for layer, size in enumerate(self.sizes(inputs)):
            if min(size) < 1:
                came = Words(f"{'x'.join(map(str, inputs[:2]))} images, of which layer {layer} leaves nothing")
                yield "channels", came, "fewer convolutions, smaller kernels, strides or windows, or more padding"
                return

    def sizes(self, inputs: Images) -> list[tuple[int, int]]:
        """Return height and width of what every convolution, its pooling included, gives."""
        found, size = [], (inputs.height, inputs.width)
        for _ in self.channels:
            size = tuple(places(n, self.kernel, self.stride, self.padding) for n in size)
            size = size if self.pool == "none" else tuple(places(n, self.pool_size, self.pool_size, 0) for n in size)
            found.append(size)
        return found

    def units(self, signature: Signature) -> tuple[int, ...]:
        return (*self.channels, *self.hidden)

    def shapes(self, signature: Signature) -> list[tuple[int, ...]]:
        """Return the shape of every layer's weights."""
        inputs = signature.inputs
        assert isinstance(inputs, Images)
        kernels = [(self.kernel, self.kernel, *pair) for pair in pairwise((inputs.channels, *self.channels))]
        height, width = self.sizes(inputs)[-1]
        read = self.channels[-1] * (height * width if self.readout == "flat" else 1)
        return [*kernels, *pairwise((read, *self.hidden, signature.outputs))]

    def initial(self, key: jax.Array, signature: Signature, dtype: Any) -> dict[str, Any]:
        params: dict[str, Any] = {}
        shapes = self.shapes(signature)
        keys = layer_keys(key, len(shapes))
        for layer, (*before, fan_out) in enumerate(shapes):
            weight_key, bias_key = keys[layer]
            fan_in = fan_in_of((*before, fan_out))
            width = fan_out if layer < len(shapes) - 1 else fan_in
            drawn = weight(weight_key, self.init, fan_in, fan_out, width, dtype)
            params[f"W_{layer}"] = replace(drawn, shape=(*before, fan_out))
            if self.bias:
                params[f"b_{layer}"] = bias(bias_key, self.init, fan_in, fan_out, dtype)
        return params | self.norm_params(signature, dtype)

    def apply(self, params: Params, inputs: jax.Array, mode: Mode = MEASURED) -> Output:
        passage, convolutions = Passage(self, params, mode), len(self.channels)
        depth = convolutions + len(self.hidden)
        x = inputs.astype(params["W_0"].dtype)
        for layer in range(depth + 1):
            W = params[f"W_{layer}"]
            if layer == convolutions:
                x = jnp.mean(x, axis=(1, 2)) if self.readout == "mean" else x.reshape(x.shape[0], -1)
            z = convolved(x, W, self.stride, self.padding) if layer < convolutions else x @ W
            factor = multiplier(self.init, fan_in_of(W.shape), last=layer == depth)
            z = z if factor == 1.0 else z * jnp.asarray(factor, z.dtype)
            z = z + params[f"b_{layer}"] if self.bias else z
            x = z if layer == depth else passage.hidden(z, layer)
            if layer < convolutions and self.pool != "none":
                x = pooled(x, self.pool, self.pool_size)
        return Output(x, passage.activations, passage.state)

    def from_torch(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        return convolutional_layers(self, arrays)

    def to_torch(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return convolutional(self, params)


def fan_in_of(shape: tuple[int, ...]) -> int:
    """Return how many inputs a unit has: of a kernel, those of its window."""
    fan_in = 1
    for n in shape[:-1]:
        fan_in *= n
    return fan_in
