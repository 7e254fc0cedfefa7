"""Parameters of TransformerLens as those of a transformer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from grokdyn.models.torch_layers import ANY, fitting
from grokdyn.models.transformer_params import tensors
from grokdyn.spec.errors import SpecError, Words
from grokdyn.tasks.base import Signature
from grokdyn.tasks.signature import Classes, Sequences, Tokens

ONCE = {
    "W_E": "embed.W_E",
    "W_pos": "pos_embed.W_pos",
    "W_rel": "rel_pos_bias.weight",
    "W_read": "embed.W_read",
    "W_U": "unembed.W_U",
    "b_U": "unembed.b_U",
    "ln_final_scale": "ln_final.w",
    "ln_final_shift": "ln_final.b",
}
PER_LAYER = {f"{kind}_{part}": f"attn.{kind}_{part}" for kind in "Wb" for part in "QKVO"}
PER_LAYER |= {f"{kind}_{part}": f"mlp.{kind}_{part}" for kind in "Wb" for part in ("in", "out")}
PER_LAYER |= {f"ln{i}_{ours}": f"ln{i}.{w}" for i in (1, 2) for ours, w in (("scale", "w"), ("shift", "b"))}


def written_by_lens(arrays: Mapping[str, Any]) -> bool:
    """Return whether names and shapes are those of TransformerLens: its W_O has an axis of heads."""
    return any(name.endswith("attn.W_O") and np.ndim(w) == 3 for name, w in arrays.items())


def theirs_of(name: str) -> str:
    """Return TransformerLens's name of a parameter."""
    if name in ONCE:
        return ONCE[name]
    part, _, layer = name.rpartition("_")
    return f"blocks.{layer}.{PER_LAYER[part]}"


def to_lens(model: Any, params: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return a transformer's parameters as those of a ``HookedTransformer``."""
    heads, d, found = model.heads, model.d_model, {}
    for name, value in params.items():
        w, (kind, _, part) = np.asarray(value), name.partition("_")
        if kind == "W" and part[:2] in ("Q_", "K_", "V_"):
            w = w.reshape(d, heads, d // heads).transpose(1, 0, 2)
        elif kind == "W" and part.startswith("O_"):
            w = w.reshape(heads, d // heads, d)
        elif kind == "b" and part[:2] in ("Q_", "K_", "V_"):
            w = w.reshape(heads, d // heads)
        found[theirs_of(name)] = w
    return found


def from_lens(model: Any, arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return a transformer's parameters from those of a ``HookedTransformer``.

    Its biases are always there; those that the model has not are passed over where they are 0.

    Raises:
        SpecError: naming the first array that is missing, is too many or has another shape.
    """
    heads, d = model.heads, model.d_model
    found = {}
    inputs = Sequences(ANY, ANY) if "embed.W_read" in arrays else Tokens(ANY, ANY)
    for name, own, _ in tensors(model, Signature(inputs, Classes(ANY), 0)):
        theirs, (kind, _, part) = theirs_of(name), name.partition("_")
        if kind == "W" and part[:2] in ("Q_", "K_", "V_"):
            w = fitting(arrays, theirs, (heads, d, d // heads), name)
            found[name] = w.transpose(1, 0, 2).reshape(d, d)
        elif kind == "W" and part.startswith("O_"):
            found[name] = fitting(arrays, theirs, (heads, d // heads, d), name).reshape(d, d)
        elif kind == "b" and part[:2] in ("Q_", "K_", "V_"):
            found[name] = fitting(arrays, theirs, (heads, d // heads), name).reshape(d)
        else:
            found[name] = fitting(arrays, theirs, own, name)
    known = {theirs_of(name) for name in found}
    for name, w in arrays.items():
        if name not in known and (".b_" not in name or np.any(w)):
            allowed = "tensors of this model: " + ", ".join(found)
            raise SpecError(f"state_dict.{name}", Words("an array that the model has no place for"), allowed)
    return found
