"""PyTorch's transformer encoder layer on a few tokens, read out at the last one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.models import draws
from grokdyn.models.base import Model
from grokdyn.models.dropout import Dropout
from grokdyn.models.layer_norm import layer_norm
from grokdyn.models.output import Output, Params
from grokdyn.models.torch_layers import ANY, fitting
from grokdyn.spec.base import field
from grokdyn.spec.errors import SpecError, Words
from grokdyn.spec.rules import Count, Number
from grokdyn.tasks.shapes import Conflicts, Shapes, needs_tokens
from grokdyn.tasks.signature import Signature, Tokens

# Ours -> PyTorch's, of the model of Prieto et al. (2025); matrices are transposed but for the embedding.
TORCH_NAMES = {
    "W_E": "embedding.weight",
    "W_QKV": "transformer.layers.0.self_attn.in_proj_weight",
    "b_QKV": "transformer.layers.0.self_attn.in_proj_bias",
    "W_O": "transformer.layers.0.self_attn.out_proj.weight",
    "b_O": "transformer.layers.0.self_attn.out_proj.bias",
    "W_in": "transformer.layers.0.linear1.weight",
    "b_in": "transformer.layers.0.linear1.bias",
    "W_out": "transformer.layers.0.linear2.weight",
    "b_out": "transformer.layers.0.linear2.bias",
    "scale_1": "transformer.layers.0.norm1.weight",
    "shift_1": "transformer.layers.0.norm1.bias",
    "scale_2": "transformer.layers.0.norm2.weight",
    "shift_2": "transformer.layers.0.norm2.bias",
    "W_U": "linear.weight",
    "b_U": "linear.bias",
}

LAYER = "transformer.layers.0."


class Encoder(Model):
    """One post-norm encoder layer as ``nn.TransformerEncoderLayer``: no positions, no mask, logits at the last token.

    With e the embeddings of a row's tokens and t the last one: a = W_O softmax(q_t k / sqrt(d/heads)) v + b_O,
    x = norm_1(e_t + a), y = norm_2(x + W_out relu(W_in x + b_in) + b_out), logits = y W_U + b_U. Drawn exactly as
    PyTorch does by default. ``dropout`` acts in training on attention weights, a, the hidden layer and its output,
    scaled by 1/(1 - dropout).

    Only what the last token's output needs is computed. Tokens have no position, so their queries, keys and values
    are rows of a table as long as the vocabulary, projected once and gathered. Activations: ``attention``
    [rows, tokens, heads], ``resid_mid`` x, ``hidden`` (after relu), ``resid_post`` y.
    """

    d_model: int = field(Count(1, 100_000), default=128, doc="width of the residual stream")
    heads: int = field(Count(1, 10_000), default=4, doc="attention heads")
    ff: int = field(Count(1, 1_000_000), default=2048, doc="width of the hidden layer")
    dropout: float = field(Number(0, 1, open_high=True), default=0.0, doc="share of activations dropped in training")

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if self.d_model % self.heads:
            yield "heads", self.heads, f"a divisor of d_model, {self.d_model}"

    def conflicts(self, shapes: Shapes) -> Conflicts:
        yield from super().conflicts(shapes)
        yield from needs_tokens(shapes)

    def stochastic(self) -> Any:
        return np.asarray(self.dropout) > 0

    def initial(self, key: jax.Array, signature: Signature, dtype: Any) -> dict[str, Any]:
        assert isinstance(signature.inputs, Tokens)
        d, ff, out = self.d_model, self.ff, signature.outputs
        keys = iter(jax.random.split(key, 9))

        def uniform(shape: tuple[int, ...], bound: float) -> draws.Draw:
            return draws.uniform(next(keys), shape, dtype, bound)

        return {
            "W_E": draws.normal(next(keys), (signature.inputs.vocabulary, d), dtype),
            "W_QKV": uniform((d, 3 * d), math.sqrt(6 / (d + 3 * d))),
            "b_QKV": jnp.zeros(3 * d, dtype),
            "W_O": uniform((d, d), 1 / math.sqrt(d)),
            "b_O": jnp.zeros(d, dtype),
            "W_in": uniform((d, ff), 1 / math.sqrt(d)),
            "b_in": uniform((ff,), 1 / math.sqrt(d)),
            "W_out": uniform((ff, d), 1 / math.sqrt(ff)),
            "b_out": uniform((d,), 1 / math.sqrt(ff)),
            "W_U": uniform((d, out), 1 / math.sqrt(d)),
            "b_U": uniform((out,), 1 / math.sqrt(d)),
            **{f"scale_{i}": jnp.ones(d, dtype) for i in (1, 2)},
            **{f"shift_{i}": jnp.zeros(d, dtype) for i in (1, 2)},
        }

    def apply(self, params: Params, inputs: jax.Array, key: jax.Array | None = None) -> Output:
        drop = Dropout(self.dropout, key)
        attention, mixed = self.attend(params, inputs, drop)
        a = mixed @ params["W_O"] + params["b_O"]
        x = layer_norm(params["W_E"][inputs[:, -1]] + drop(a, 1), params["scale_1"], params["shift_1"])
        hidden = jax.nn.relu(x @ params["W_in"] + params["b_in"])
        out = drop(hidden, 2) @ params["W_out"] + params["b_out"]
        y = layer_norm(x + drop(out, 3), params["scale_2"], params["shift_2"])
        activations = {"attention": attention, "resid_mid": x, "hidden": hidden, "resid_post": y}
        return Output(y @ params["W_U"] + params["b_U"], activations)

    def attend(self, params: Params, inputs: jax.Array, drop: Dropout) -> tuple[jax.Array, jax.Array]:
        """Return the last token's attention weights [rows, tokens, heads] and what it reads with them [rows, d]."""
        d, heads = self.d_model, self.heads
        table = params["W_E"] @ params["W_QKV"] + params["b_QKV"]
        q = table[inputs[:, -1], :d].reshape(-1, 1, heads, d // heads)
        k, v = (table[:, part * d : (part + 1) * d][inputs].reshape(*inputs.shape, heads, -1) for part in (1, 2))
        scores = jnp.sum(q * k, axis=-1) / jnp.asarray(math.sqrt(d // heads), q.dtype)
        weights = jax.nn.softmax(scores, axis=1)
        return weights, jnp.sum(drop(weights, 0)[..., None] * v, axis=1).reshape(-1, d)

    def from_torch(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        names = torch_names(arrays)
        d, ff = self.d_model, self.ff
        shapes = {
            "W_E": (ANY, d),
            "W_QKV": (3 * d, d),
            "W_O": (d, d),
            "W_in": (ff, d),
            "W_out": (d, ff),
            "W_U": (ANY, d),
        }
        shapes |= {"b_QKV": (3 * d,), "b_in": (ff,), "b_U": (ANY,)}
        found = {
            ours: fitting(arrays, theirs, shapes.get(ours, (d,)), f"{ours} of encoder")
            for ours, theirs in names.items()
        }
        return {name: value if name == "W_E" else value.T for name, value in found.items()}

    def to_torch(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return {theirs: params[ours] if ours == "W_E" else params[ours].T for ours, theirs in TORCH_NAMES.items()}


def torch_names(arrays: Mapping[str, Any]) -> dict[str, str]:
    """Return PyTorch's names of the parameters: whatever the modules are called, they are told by what they hold.

    Raises:
        SpecError: unless there are one encoder layer, an embedding (a weight alone) and a linear layer with a bias.
    """
    allowed = "arrays " + ", ".join(TORCH_NAMES.values()) + ", or modules of other names that hold the same"
    mark = "self_attn.in_proj_weight"
    layers = [name.removesuffix(mark) for name in arrays if name == mark or name.endswith("." + mark)]
    if len(layers) != 1:
        came = f"{len(layers)} encoder layers" if layers else ", ".join(arrays) or "none"
        raise SpecError("state_dict", Words(came), allowed)
    inner = {ours: theirs.removeprefix(LAYER) for ours, theirs in TORCH_NAMES.items() if theirs.startswith(LAYER)}
    found = {ours: layers[0] + theirs for ours, theirs in inner.items()}
    rest = [name for name in arrays if name not in found.values()]
    readouts = [name.removesuffix(".bias") for name in rest if name.endswith(".bias")]
    tables = [name for name in rest if name.endswith(".weight") and name.removesuffix(".weight") not in readouts]
    for told, number in (("embeddings (a weight without a bias)", tables), ("linear layers with a bias", readouts)):
        if len(number) != 1:
            raise SpecError("state_dict", Words(f"{len(number)} {told} beside the encoder layer"), allowed)
    found |= {"W_E": tables[0], "W_U": readouts[0] + ".weight", "b_U": readouts[0] + ".bias"}
    for name in rest:
        if name not in found.values():
            raise SpecError(f"state_dict.{name}", Words("an array that the model has not"), allowed)
    return {ours: found[ours] for ours in TORCH_NAMES}
