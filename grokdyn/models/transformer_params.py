"""A transformer's parameters: their names and shapes, how they are drawn, what others call them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.models.draws import Draw, normal, uniform
from grokdyn.models.initializers import multiplier
from grokdyn.models.output import Params
from grokdyn.models.positions import BUCKETS
from grokdyn.spec.errors import SpecError, Words
from grokdyn.tasks.base import Signature
from grokdyn.tasks.signature import Classes, Sequences, Tokens

INITS = ("nanda", "torch", "mup")
# A size that is the task's and not known where names are read: the vocabulary, the length of a sequence.
ANY = -1
# Tables that tokens, positions and distances are looked up in: no matrix product, no fan-in.
EMBEDDINGS = ("W_E", "W_pos", "W_rel")


class Tensor(NamedTuple):
    """A parameter's name and shape, and the fan-in of the product it belongs to; 0 for a layer norm's."""

    name: str
    shape: tuple[int, ...]
    fan_in: int


def tensors(model: Any, signature: Signature) -> Iterator[Tensor]:
    """Yield every parameter of a transformer."""
    d, ff, biased = model.d_model, model.d_mlp, model.attention_bias
    inputs = signature.inputs
    if isinstance(inputs, Tokens):
        yield Tensor("W_E", (inputs.vocabulary, d), 1)
    else:
        assert isinstance(inputs, Sequences)
        yield Tensor("W_read", (inputs.width, d), inputs.width)
    if model.positions == "learned":
        tokens = inputs.width if isinstance(inputs, Tokens) else inputs.length
        yield Tensor("W_pos", (tokens + model.shift if tokens != ANY else ANY, d), 1)
    if model.positions == "t5":
        yield Tensor("W_rel", (BUCKETS, model.heads), 1)
    for layer in range(model.layers):
        for part in "QKVO":
            yield from linear(f"{part}_{layer}", d, d, biased)
        if ff:
            experts = (model.experts,) if model.experts > 1 else ()
            if experts:
                yield from linear(f"router_{layer}", d, model.experts, False)
            yield from linear(f"in_{layer}", d, ff, model.mlp_bias, experts)
            yield from linear(f"out_{layer}", ff, d, model.mlp_bias, experts)
        if model.norm != "none":
            for number in (1, 2) if ff else (1,):
                yield from norm(f"ln{number}", f"_{layer}", d)
    if model.norm == "pre":
        yield from norm("ln_final", "", d)
    if not model.tied:
        yield Tensor("W_U", (d, signature.outputs), d)
    if model.unembedding_bias:
        yield Tensor("b_U", (signature.outputs,), d)


def linear(name: str, fan_in: int, fan_out: int, biased: bool, experts: tuple[int, ...] = ()) -> Iterator[Tensor]:
    yield Tensor(f"W_{name}", (*experts, fan_in, fan_out), fan_in)
    if biased:
        yield Tensor(f"b_{name}", (*experts, fan_out), fan_in)


def norm(name: str, suffix: str, d: int) -> Iterator[Tensor]:
    yield Tensor(f"{name}_scale{suffix}", (d,), 0)
    yield Tensor(f"{name}_shift{suffix}", (d,), 0)


def drawn(init: str, d_model: int, tensor: Tensor, key: jax.Array, dtype: Any) -> Draw | jax.Array:
    """Draw a parameter, see ``Transformer``."""
    name, shape, fan_in = tensor
    if fan_in == 0:
        return jnp.ones(shape, dtype) if "scale" in name else jnp.zeros(shape, dtype)
    if init == "torch" and name not in EMBEDDINGS:
        return uniform(key, shape, dtype, fan_in**-0.5)
    if name.startswith("b_"):
        return jnp.zeros(shape, dtype)
    variance = 1.0
    if init == "nanda":
        variance = {"W_U": 1 / shape[1], "W_read": 1 / fan_in}.get(name, 1 / d_model)
    return normal(key, shape, dtype).then(lambda x: x * variance**0.5)


def with_factors(params: Params) -> Params:
    """Return mup's parameters times what the forward pass puts in front of them."""

    def factor(name: str, w: jax.Array) -> float:
        matrix = name.startswith("W_") and name not in EMBEDDINGS
        return multiplier("mup", w.shape[-2], last=name == "W_U") if matrix else 1.0

    return {name: w * jnp.asarray(factor(name, w), w.dtype) for name, w in params.items()}


# (theirs, ours, how theirs lies) of the code of Nanda et al. (2023).
ONCE = (("embed.W_E", "W_E", "turned"), ("pos_embed.W_pos", "W_pos", "same"), ("unembed.W_U", "W_U", "same"))
PER_LAYER = (
    ("attn.W_Q", "W_Q", "heads"),
    ("attn.W_K", "W_K", "heads"),
    ("attn.W_V", "W_V", "heads"),
    ("attn.W_O", "W_O", "turned"),
    ("mlp.W_in", "W_in", "turned"),
    ("mlp.b_in", "b_in", "same"),
    ("mlp.W_out", "W_out", "turned"),
    ("mlp.b_out", "b_out", "same"),
)


def nanda_names(model: Any) -> dict[str, tuple[str, str]]:
    """Return the code's name of every parameter -> ours, and how theirs lies."""
    layers = [(f"blocks.{i}.{a}", f"{b}_{i}", how) for i in range(model.layers) for a, b, how in PER_LAYER]
    return {theirs: (ours, how) for theirs, ours, how in (*ONCE, *layers)}


def known_to_nanda(model: Any, params: Mapping[str, Any]) -> bool:
    """Return whether that code has a name for every parameter: it has neither norms nor biases of attention."""
    return set(params) <= {ours for ours, _ in nanda_names(model).values()}


def to_nanda(model: Any, params: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return a transformer's parameters under the names of that code."""
    found = {}
    for theirs, (ours, how) in nanda_names(model).items():
        if ours in params:
            w = np.asarray(params[ours])
            w = w if how == "same" else w.T
            found[theirs] = w.reshape(model.heads, -1, w.shape[-1]) if how == "heads" else w
    return found


def from_nanda(model: Any, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return a transformer's parameters from the names of that code, which has neither norms nor biases of attention.

    Raises:
        SpecError: if the model has parameters that the code has no names for, if other arrays are there (a causal mask
            is passed over), or if the shape of one is not the model's.
    """
    shapes = {tensor.name: tensor.shape for tensor in tensors(model, Signature(Tokens(ANY, ANY), Classes(ANY), 0))}
    names = {theirs: (ours, how) for theirs, (ours, how) in nanda_names(model).items() if ours in shapes}
    nameless = sorted(set(shapes) - {ours for ours, _ in names.values()})
    if nameless:
        allowed = "one without " + ", ".join(nameless) + ", which these names do not know; or build the tree by hand"
        raise SpecError("model", Words("a model with norms or further biases"), allowed)
    given = {name: np.asarray(w) for name, w in arrays.items() if not name.endswith(".attn.mask")}
    if set(given) != set(names):
        hint = f"prefix = {prefix_of(given, names)!r}?" if prefix_of(given, names) else ""
        raise SpecError("state_dict", difference(given, names), "arrays " + ", ".join(names), hint)
    found = {}
    for theirs, (ours, how) in names.items():
        w, own = given[theirs], shapes[ours]
        of_heads = (model.heads, model.d_model // model.heads, model.d_model)
        wanted = {"same": own, "turned": own[::-1], "heads": of_heads}[how]
        if len(w.shape) != len(wanted) or any(n not in (ANY, m) for m, n in zip(w.shape, wanted, strict=True)):
            told = "(" + ", ".join("any" if n == ANY else str(n) for n in wanted) + ")"
            raise SpecError(f"state_dict.{theirs}", Words(f"shape {w.shape}"), f"shape {told}")
        found[ours] = w if how == "same" else w.reshape(-1, w.shape[-1]).T
    return found


def difference(given: Collection[str], names: Collection[str]) -> Words:
    """Return which names are missing among those given, or which are too many."""
    missing = [name for name in names if name not in given]
    if missing:
        return Words("no " + ", ".join(missing))
    return Words("also " + ", ".join(name for name in given if name not in names))


def prefix_of(given: Collection[str], names: Collection[str]) -> str:
    """Return what stands before all names in the first set of arrays that has them; nothing where none has."""
    first = next(iter(names))
    found = (name.removesuffix(first) for name in given if name.endswith(first))
    return next((prefix for prefix in found if all(prefix + name in given for name in names)), "")
