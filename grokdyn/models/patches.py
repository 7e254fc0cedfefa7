"""A two-layer network that reads every patch of a row by the same filters."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.models.base import Model
from grokdyn.models.convolution import windows
from grokdyn.models.draws import normal
from grokdyn.models.output import Output, Params
from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.rules import Count, Flag
from grokdyn.tasks.base import Signature
from grokdyn.tasks.shapes import Conflicts, Shapes
from grokdyn.tasks.signature import Images


class Patches(Model):
    """Two-layer convolution f_k(x) = sum_j a_kj sum_p phi(w_j . x_p), a_kj fixed (Zou et al. 2023; Lu et al. 2023).

    x_p are the patches of an image, ``size`` x ``size`` places side by side; phi(h) = relu(h)^power where
    ``rectified``, else h^power. Output k has m ``filters`` of its own with a_kj = 1, and where ``opposed`` m more with
    a_kj = -1; other filters do not count for it. ``averaged``: 1/m in place of 1. w_j ~ N(0, I), so ``init_scale`` is
    the standard deviation. Parameters: ``W`` [size^2 channels, units], an output's units side by side, those of
    a_kj = 1 first. Activations: ``pre_0`` w_j . x_p [rows, patches, units].
    """

    filters: int = field(Count(1, 100_000), default=10, doc="m, filters of an output")
    power: int = field(Count(1, 8), default=2, doc="of phi")
    rectified: bool = field(Flag(), default=True, doc="phi is 0 below 0")
    opposed: bool = field(Flag(), default=False, doc="as many filters that count negatively")
    averaged: bool = field(Flag(), default=False, doc="divide by the number of filters")
    size: int = field(Count(1, 1000), default=1, doc="height and width of a patch")

    def conflicts(self, shapes: Shapes) -> Conflicts:
        yield from super().conflicts(shapes)
        inputs = shapes.signature.inputs
        if not isinstance(inputs, Images):
            yield "kind", Words("inputs that are no images"), "a task of images, such as feature_data"
        elif inputs.height % self.size or inputs.width % self.size:
            yield "size", self.size, f"a divisor of both sides of a {inputs.height} x {inputs.width} image"

    @property
    def sides(self) -> int:
        """Kinds of filters that an output has: those that count positively, and negatively."""
        return 2 if self.opposed else 1

    def initial(self, key: jax.Array, signature: Signature, dtype: Any) -> dict[str, Any]:
        inputs = signature.inputs
        assert isinstance(inputs, Images)
        shape = (self.size**2 * inputs.channels, signature.outputs * self.sides * self.filters)
        return {"W": normal(key, shape, dtype)}

    def apply(self, params: Params, inputs: jax.Array) -> Output:
        W = params["W"]
        h = self.patches(inputs.astype(W.dtype)) @ W
        phi = (jax.nn.relu(h) if self.rectified else h) ** self.power
        units = jnp.sum(phi, axis=1).reshape(h.shape[0], -1, self.sides, self.filters)
        sums = jnp.mean(units, axis=-1) if self.averaged else jnp.sum(units, axis=-1)
        return Output(sums[..., 0] - sums[..., 1] if self.opposed else sums[..., 0], {"pre_0": h})

    def patches(self, inputs: jax.Array) -> jax.Array:
        """Return the patches of images, row by row [rows, patches, size^2 channels]."""
        found = windows(inputs, (self.size, self.size), self.size)
        return jnp.concatenate(found, axis=-1).reshape(inputs.shape[0], -1, self.size**2 * inputs.shape[-1])

    def votes(self, outputs: int) -> list[int]:
        """Return for every unit the class of two that it votes for; a single output is large for class 1."""
        found = []
        for k in range(outputs):
            own = k if outputs > 1 else 1
            found += [own] * self.filters + [1 - own] * self.filters * (self.sides - 1)
        return found
