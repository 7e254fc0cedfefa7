"""The parameters of one part of a transformer by their short names, and what is done with them."""

from __future__ import annotations

from typing import NamedTuple

import jax

from grokdyn.models.layer_norm import layer_norm
from grokdyn.models.output import Params


class Part(NamedTuple):
    """Parameters whose names end in ``suffix``, in a model whose layer norms stand at ``norm``: none, pre or post."""

    params: Params
    suffix: str
    norm: str

    def linear(self, x: jax.Array, name: str) -> jax.Array:
        """Return x W_name + b_name."""
        return self.biased(product(x, self.params[f"W_{name}{self.suffix}"]), name)

    def biased(self, x: jax.Array, name: str) -> jax.Array:
        """Return x + b_name, x where there is no such bias."""
        b = self.params.get(f"b_{name}{self.suffix}")
        return x if b is None else x + b

    def normed(self, x: jax.Array, name: str, place: str) -> jax.Array:
        """Return the layer norm of a name, x where norms do not stand at this place."""
        if self.norm != place:
            return x
        scale, shift = (self.params[f"{name}_{what}{self.suffix}"] for what in ("scale", "shift"))
        return layer_norm(x, scale, shift)


def product(x: jax.Array, W: jax.Array) -> jax.Array:
    """Return x W over the last axis of x, as one product of matrices: on a CPU further axes cost a tenth."""
    return (x.reshape(-1, x.shape[-1]) @ W).reshape(*x.shape[:-1], W.shape[-1])
