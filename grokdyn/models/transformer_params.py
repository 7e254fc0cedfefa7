"""A transformer's parameters: their names and shapes, how they are drawn, what others call them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.models.base import Params
from grokdyn.models.initializers import multiplier
from grokdyn.spec.errors import SpecError, Words
from grokdyn.tasks.base import Signature

INITS = ("nanda", "torch", "mup")
# Tables that tokens and positions are looked up in: no matrix product, no fan-in.
EMBEDDINGS = ("W_E", "W_pos")


class Tensor(NamedTuple):
    """A parameter's name and shape, and the fan-in of the product it belongs to; 0 for a layer norm's."""

    name: str
    shape: tuple[int, ...]
    fan_in: int


def tensors(model: Any, signature: Signature) -> Iterator[Tensor]:
    """Yield every parameter of a transformer."""
    d, ff, biased = model.d_model, model.d_mlp, model.attention_bias
    yield Tensor("W_E", (signature.vocabulary, d), 1)
    if model.positions == "learned":
        yield Tensor("W_pos", (signature.width, d), 1)
    for layer in range(model.layers):
        for part in "QKVO":
            yield from linear(f"{part}_{layer}", d, d, biased)
        if ff:
            yield from linear(f"in_{layer}", d, ff, model.mlp_bias)
            yield from linear(f"out_{layer}", ff, d, model.mlp_bias)
        if model.norm != "none":
            for number in (1, 2) if ff else (1,):
                yield from norm(f"ln{number}", f"_{layer}", d)
    if model.norm == "pre":
        yield from norm("ln_final", "", d)
    if not model.tied:
        yield Tensor("W_U", (d, signature.outputs), d)
    if model.unembedding_bias:
        yield Tensor("b_U", (signature.outputs,), d)


def linear(name: str, fan_in: int, fan_out: int, biased: bool) -> Iterator[Tensor]:
    yield Tensor(f"W_{name}", (fan_in, fan_out), fan_in)
    if biased:
        yield Tensor(f"b_{name}", (fan_out,), fan_in)


def norm(name: str, suffix: str, d: int) -> Iterator[Tensor]:
    yield Tensor(f"{name}_scale{suffix}", (d,), 0)
    yield Tensor(f"{name}_shift{suffix}", (d,), 0)


def drawn(init: str, d_model: int, tensor: Tensor, key: jax.Array, dtype: Any) -> jax.Array:
    """Draw a parameter, see ``Transformer``."""
    name, shape, fan_in = tensor
    if fan_in == 0:
        return jnp.ones(shape, dtype) if "scale" in name else jnp.zeros(shape, dtype)
    if init == "torch" and name not in EMBEDDINGS:
        return jax.random.uniform(key, shape, dtype, -(fan_in**-0.5), fan_in**-0.5)
    if name.startswith("b_"):
        return jnp.zeros(shape, dtype)
    variance = 1.0
    if init == "nanda":
        variance = 1 / shape[1] if name == "W_U" else 1 / d_model
    return jax.random.normal(key, shape, dtype) * variance**0.5


def with_factors(params: Params) -> Params:
    """Return mup's parameters times what the forward pass puts in front of them."""

    def factor(name: str, w: jax.Array) -> float:
        matrix = name.startswith("W_") and name not in EMBEDDINGS
        return multiplier("mup", w.shape[0], last=name == "W_U") if matrix else 1.0

    return {name: w * jnp.asarray(factor(name, w), w.dtype) for name, w in params.items()}


def side_by_side(w: np.ndarray) -> np.ndarray:
    """Return [heads, d_head, d_model] as [d_model, heads * d_head]."""
    return w.reshape(-1, w.shape[-1]).T


# (theirs, ours, how) of the code of Nanda et al. (2023), whose matrices are (out, in) but for W_pos and W_U.
ONCE = (
    ("embed.W_E", "W_E", np.transpose),
    ("pos_embed.W_pos", "W_pos", np.asarray),
    ("unembed.W_U", "W_U", np.asarray),
)
PER_LAYER = (
    ("attn.W_Q", "W_Q", side_by_side),
    ("attn.W_K", "W_K", side_by_side),
    ("attn.W_V", "W_V", side_by_side),
    ("attn.W_O", "W_O", np.transpose),
    ("mlp.W_in", "W_in", np.transpose),
    ("mlp.b_in", "b_in", np.asarray),
    ("mlp.W_out", "W_out", np.transpose),
    ("mlp.b_out", "b_out", np.asarray),
)


def from_nanda(layers: int, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters of a model without layer norm, biases in the MLP alone, from the names of that code.

    Raises:
        SpecError: if other arrays are there (a causal mask is passed over).
    """
    names: dict[str, tuple[str, Callable]] = {theirs: (ours, how) for theirs, ours, how in ONCE}
    for layer in range(layers):
        for theirs, ours, how in PER_LAYER:
            names[f"blocks.{layer}.{theirs}"] = (f"{ours}_{layer}", how)
    given = {name: np.asarray(w) for name, w in arrays.items() if not name.endswith(".attn.mask")}
    if set(given) != set(names):
        raise SpecError("state_dict", Words(", ".join(arrays) or "none"), "arrays " + ", ".join(names))
    return {ours: how(given[theirs]) for theirs, (ours, how) in names.items()}
