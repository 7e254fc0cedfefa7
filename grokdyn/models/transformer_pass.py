"""The forward pass of a transformer: what its first layer reads, a layer, one after the other from any on."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.models.activations import ACTIVATIONS
from grokdyn.models.attention import Scores, attend
from grokdyn.models.dropout import Dropout
from grokdyn.models.experts import mixed
from grokdyn.models.output import Params
from grokdyn.models.part import Part, product
from grokdyn.models.residual import Stream, TokenTables, token_tables

# How often one layer draws: attention weights, what the attention adds, neurons, what the MLP adds.
DRAWS = 4


def onward(
    model: Any,
    params: Params,
    stream: Stream | TokenTables,
    start: int,
    tokens: int,
    drop: Dropout,
    there: jax.Array | None,
    begin: jax.Array | None,
    path: str,
) -> tuple[jax.Array, dict[str, Any]]:
    """Return the logits and activations, as ``passed``, from what the layer ``start`` reads."""
    found, x = {}, None
    for layer in range(start, model.depth):
        part = Part(params, f"_{layer % model.layers}", model.norm)
        if x is not None:
            if model.re_embed and layer % model.layers == 0:
                x = product(jax.nn.softmax(model.readout(params, x)), params["W_E"])
                x = model.places.placed(x, params, begin)
            stream = Stream(x, part.normed(x, "ln1", "pre"))
        first = 0 if path == "full" or layer < model.depth - 1 else tokens - model.answers
        seen = layer_of(model, part, stream, first, DRAWS * layer, drop, there)
        found |= {f"{name}_{layer}": value for name, value in seen.items()}
        x = seen["resid_post"]
    assert x is not None
    return model.readout(params, x[-1] if model.answers == 1 else jnp.swapaxes(x[-model.answers :], 0, 1)), found


def embedded(
    model: Any, params: Params, tokens: jax.Array, path: str, begin: jax.Array | None = None
) -> Stream | TokenTables:
    """Return what the first layer reads of tokens [tokens, rows] or vectors [tokens, rows, width]."""
    norm = partial(Part(params, "_0", model.norm).normed, name="ln1", place="pre")
    named = jnp.issubdtype(tokens.dtype, jnp.integer)
    if named and begin is None:
        P = model.places.codes(params, len(tokens))
        tables = token_tables(tokens, params["W_E"], P, norm if model.norm == "pre" else None)
        if path == "answer" or (path == "auto" and tables.worth):
            return tables
    read = Part(params, "", model.norm)
    x = params["W_E"][tokens] if named else read.linear(tokens.astype(params["W_read"].dtype), "read")
    x = model.places.placed(x, params, begin)
    return Stream(x, norm(x))


def layer_of(
    model: Any,
    part: Part,
    x: Stream | TokenTables,
    first: int,
    place: int,
    drop: Dropout,
    there: jax.Array | None,
) -> dict[str, jax.Array]:
    """Return what a layer computes at positions ``first`` and on; ``place`` numbers its draws."""
    q, k, v = (
        part.biased(x.project(part.params[f"W_{name}{part.suffix}"], start), name)
        for name, start in (("Q", first), ("K", 0), ("V", 0))
    )
    q, k = model.places.turned(q, first), model.places.turned(k, 0)
    bias = model.places.bias(part.params, len(q), len(k))
    how = Scores(model.heads, model.scale, model.causal, model.attention == "linear", bias, there)
    weights, read = attend(q, k, v, how, partial(drop, place=place))
    pre = x.at(first)
    mid = part.normed(pre + drop(part.linear(read, "O"), place + 1), "ln1", "post")
    seen = {"resid_pre": pre, "attention": weights, "resid_mid": mid}
    if not model.d_mlp:
        return seen | {"resid_post": mid}
    read = part.normed(mid, "ln2", "pre")
    if model.experts > 1:
        phi = ACTIVATIONS[model.activation]
        added, p = mixed(part, read, model.top, phi, drop, place + 2)
        return seen | {"router": p, "resid_post": part.normed(mid + drop(added, place + 3), "ln2", "post")}
    z = part.linear(read, "in")
    hidden = ACTIVATIONS[model.activation](z)
    added = drop(part.linear(drop(hidden, place + 2), "out"), place + 3)
    return seen | {"pre": z, "hidden": hidden, "resid_post": part.normed(mid + added, "ln2", "post")}
