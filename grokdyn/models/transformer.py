"""Transformer on token sequences, read out at the last tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.models.activations import ACTIVATIONS
from grokdyn.models.base import Model
from grokdyn.models.dropout import Dropout
from grokdyn.models.experts import imbalance
from grokdyn.models.last_token import LastToken, last_token, saves
from grokdyn.models.output import MEASURED, Mode, Output, Params
from grokdyn.models.part import Part
from grokdyn.models.positions import ADDED, POSITIONS, Positions
from grokdyn.models.residual import Stream, rows_last
from grokdyn.models.transformer_lens import from_lens, to_lens, written_by_lens
from grokdyn.models.transformer_params import (
    INITS,
    drawn,
    from_nanda,
    known_to_nanda,
    tensors,
    to_nanda,
    with_factors,
)
from grokdyn.models.transformer_pass import DRAWS, embedded, onward
from grokdyn.spec.base import field
from grokdyn.spec.rules import Choice, Count, Flag, Number
from grokdyn.tasks.shapes import Conflicts, Shapes, needs_sequences
from grokdyn.tasks.signature import Signature, Tokens


class Transformer(Model):
    """Layers of attention and MLP on tokens; logits at the last ones. The default is the model of Nanda et al. (2023).

    x = E[token] + P[position]; in every layer x <- x + W_O attention(x), x <- x + W_out phi(W_in x + b_in) + b_out;
    logits = x W_U. Attention reads values with weights softmax(q k / sqrt(d_head)). ``norm = "pre"`` puts a layer norm
    before both halves and before W_U, ``"post"`` one after both sums (Vaswani et al. 2017; Power et al. 2022).
    ``tied``: the transposed embedding serves as W_U. Sequences of vectors x (``gd.Sequences``) enter as x W_read in
    place of E[token]; a vector of zeros is padding, which nothing sees.

    ``positions``: ``learned``, P = W_pos, or ``sinusoidal`` (Vaswani et al.), of which with ``shift`` a row in training
    reads those from a place on that is drawn from 0..shift; ``rotary`` turns queries and keys by their place (Su et al.
    2021), ``alibi`` adds -slope |distance| to the scores of a head (Press et al. 2022), ``t5`` an entry of ``W_rel`` by
    the range of distances (Raffel et al. 2020), the same in all layers, see ``models.positions``.

    ``attention = "linear"``: weights are the scores q k / sqrt(d_head) themselves. Queries and keys that stay as they
    were drawn are a group of rate 0, ``gd.Groups(..., groups=(gd.Group(match="W_[QK]_*", learning_rate=0),))``.

    ``repeats``: the layers are run so many times, one run after the other, with the same parameters; activations are
    numbered on. With ``re_embed`` a further run begins with E and P of the tokens that the logits after each position
    name, softmax(logits) E + P (Wang et al. 2024).

    ``init``: ``nanda``, N(0, 1/d_model), W_U N(0, 1/outputs), biases 0; ``torch``, as ``nn.Embedding`` and
    ``nn.Linear`` do, N(0, 1) and U(-b, b) with b = 1/sqrt(fan_in); ``mup``, N(0, 1) with factors in the forward pass,
    1/sqrt(fan_in), 1/d_model at the readout, and q k / d_head (Yang & Hu 2021; Yang et al. 2022), biases 0.

    ``dropout`` acts in training on attention weights, what the attention adds, neurons, and what the MLP adds.

    With several ``experts`` the MLP is a mixture of them, of which a token is given the ``top`` most probable, see
    ``models.experts``: ``W_in_l`` [experts, d_model, d_mlp] and alike, ``W_router_l`` [d_model, experts]. The penalty
    is ``load_balance`` times the sum over layers of the experts' imbalance among the tokens that the answers need.

    Parameters: ``W_E`` [vocabulary, d_model] or ``W_read`` [width, d_model], ``W_pos`` [tokens + shift, d_model],
    ``W_rel`` [32, heads], in layer l ``W_Q_l``, ``W_K_l``, ``W_V_l``, ``W_O_l`` [d_model, d_model] with heads side by
    side on the inner axis, ``W_in_l`` [d_model, d_mlp], ``W_out_l``, their biases ``b_Q_l``, ..., ``ln1_scale_l``,
    ``ln1_shift_l``, ``ln2_scale_l``, ...; ``ln_final_scale``, ``ln_final_shift``, ``W_U`` [d_model, outputs], ``b_U``.

    Activations at the token where the (first) answer is read: ``resid_pre_l``, ``resid_mid_l``, ``resid_post_l``
    [rows, d_model], ``attention_l`` [rows, tokens, heads], ``pre_l`` and ``hidden_l`` [rows, d_mlp] before and after
    phi, in their place ``router_l`` [rows, experts], the experts' probabilities, where there are several. Those of
    every position come from the method ``activations``.

    ``answers``: the logits are those at the last token [rows, outputs], or at so many last tokens [rows, answers,
    outputs], for tasks that ask for as many.

    ``padded``: rows of tokens may begin with padding, -1, which nothing sees; positions are counted from the first
    token on.

    ``path``: ``answer`` computes in the last layer only what the answers need, and projects each token of the
    vocabulary once in the first, to gather from; ``full`` computes everything at every position. They are the same
    function (with dropout, in distribution). ``auto`` is ``answer``, with tables where they save products. One layer
    of softmax attention without norms is trained even faster by ``auto`` where all rows end with the same token, such
    as "=", see ``last_token``; not with rotary positions, ``shift``, ``repeats``, padding or experts.
    """

    layers: int = field(Count(1, 1000), default=1, doc="number of layers")
    d_model: int = field(Count(1, 100_000), default=128, doc="width of the residual stream")
    heads: int = field(Count(1, 10_000), default=4, doc="attention heads of a layer")
    d_mlp: int = field(Count(0, 1_000_000), default=512, doc="neurons of a layer; 0: attention only")
    activation: str = field(Choice(tuple(ACTIVATIONS)), default="relu", doc="phi of the neurons")
    norm: str = field(Choice(("none", "pre", "post")), default="none", doc="where layer norms stand")
    positions: str = field(Choice(POSITIONS), default="learned", doc="how a token knows where it stands")
    causal: bool = field(Flag(), default=True, doc="a token is blind to those after it")
    attention_bias: bool = field(Flag(), default=False, doc="with b_Q, b_K, b_V, b_O")
    mlp_bias: bool = field(Flag(), default=True, doc="with b_in, b_out")
    unembedding_bias: bool = field(Flag(), default=False, doc="with b_U")
    tied: bool = field(Flag(), default=False, doc="the embedding is the unembedding too")
    init: str = field(Choice(INITS), default="nanda", doc="distribution of the weights at step 0")
    answers: int = field(Count(1, 1000), default=1, doc="tokens that logits are read at, the last ones")
    dropout: float = field(Number(0, 1, open_high=True), default=0.0, doc="share of activations dropped in training")
    experts: int = field(Count(1, 10_000), default=1, doc="MLPs of a layer, of which a token uses some")
    top: int = field(Count(1, 10_000), default=1, doc="experts that a token uses")
    load_balance: float = field(Number(0), default=0.01, doc="weight of the penalty on unequal use of experts")
    path: str = field(Choice(("auto", "answer", "full")), default="auto", doc="what a forward pass computes")
    shift: int = field(Count(0, 100_000), default=0, doc="in training positions begin at a random place up to this one")
    attention: str = field(Choice(("softmax", "linear")), default="softmax", doc="what makes weights of scores")
    repeats: int = field(Count(1, 1000), default=1, doc="times that the layers are run, with the same weights")
    re_embed: bool = field(Flag(), default=False, doc="a further run reads the embedding of what the logits name")
    padded: bool = field(Flag(), default=False, doc="rows of tokens may begin with padding, -1")

    takes_mode = True

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if self.d_model % self.heads:
            yield "heads", self.heads, f"a divisor of d_model, {self.d_model}"
        if self.top > self.experts:
            yield "top", self.top, f"at most the number of experts, {self.experts}"
        if self.shift and self.positions not in ADDED:
            yield "shift", self.shift, f"0: positions are {self.positions}, which no shift changes"
        if self.positions == "rotary" and self.d_model // self.heads % 2:
            yield "positions", self.positions, f"another: heads have an odd width, {self.d_model // self.heads}"
        if self.experts > 1 and not self.d_mlp:
            yield "experts", self.experts, "1 where d_mlp is 0"
        if self.experts > 1 and self.padded:
            yield "experts", self.experts, "1 where rows are padded: their use is balanced over all tokens"

    @property
    def depth(self) -> int:
        """Layers that a row passes, those run again counted again."""
        return self.layers * self.repeats

    @property
    def penalised(self) -> bool:
        return self.experts > 1

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        if not self.d_mlp:
            yield from ((name, "d_mlp is 0") for name in ("activation", "mlp_bias"))
        if self.depth == 1 and self.answers == 1 and self.positions != "t5":
            yield "causal", "the one layer is read at the last token, which sees all"
        if self.experts == 1:
            yield "load_balance", "there is one expert"
        if self.repeats == 1:
            yield "re_embed", "the layers are run once"

    def conflicts(self, shapes: Shapes) -> Conflicts:
        yield from needs_sequences(shapes)
        inputs, outputs, answers = shapes.signature.inputs, shapes.signature.outputs, shapes.signature.answers
        for name in ("tied", "re_embed"):
            if not getattr(self, name):
                continue
            if not isinstance(inputs, Tokens):
                yield name, True, "false: inputs are no tokens"
            elif outputs != inputs.vocabulary:
                yield name, True, f"false: {outputs} classes, {inputs.vocabulary} tokens"
        padded = isinstance(inputs, Tokens) and inputs.padded
        if self.padded != padded:
            allowed = "true: rows of this task have padding" if padded else "false: no row of this task has padding"
            yield "padded", self.padded, allowed
        if self.answers != answers:
            yield "answers", self.answers, f"{answers}, as many as a row of this task has"
        elif answers > 1 and not self.causal:
            yield "causal", False, "true: the right answers stand in the row, and would be read ahead"

    def stochastic(self) -> Any:
        return (np.asarray(self.dropout) > 0) | (self.shift > 0)

    def initial(self, key: jax.Array, signature: Signature, dtype: Any) -> dict[str, Any]:
        wanted = list(tensors(self, signature))
        keys = jax.random.split(key, len(wanted))
        return {t.name: drawn(self.init, self.d_model, t, k, dtype) for t, k in zip(wanted, keys, strict=True)}

    def prepare(self, params: Params, signature: Signature, rows: int) -> Params | LastToken:
        if not isinstance(signature.inputs, Tokens):
            return params
        width, fixed = signature.inputs.width, signature.inputs.fixed
        ends_alike = self.answers == 1 and fixed[-1:] not in ((), (None,))
        plain = self.path == "auto" and self.experts == 1 and self.depth == 1 and self.norm == "none"
        fits = plain and ends_alike and not self.padded and self.attention == "softmax" and self.positions != "rotary"
        if not fits or not saves(self.d_model, self.d_mlp, signature.outputs, rows):
            return params
        whole = self.complete(params)
        codes, bias = self.places.codes(whole, width), self.places.bias(whole, 1, width)
        return last_token(whole, codes, fixed, self.heads, self.scale, bias)

    def apply(self, params: Params | LastToken, inputs: jax.Array, mode: Mode = MEASURED) -> Output:
        if isinstance(params, LastToken):
            return Output(params.logits(inputs, ACTIVATIONS[self.activation]), {})
        logits, found = self.passed(params, inputs, Dropout(self.dropout, mode.key), self.path)
        activations = {name: jnp.moveaxis(x[-self.answers], -2, 0) for name, x in found.items()}
        return Output(logits, activations, penalty=self.penalty(found, mode) if self.penalised else None)

    def penalty(self, found: dict[str, jax.Array], mode: Mode) -> jax.Array:
        """Return the weighted imbalance of experts, from the probabilities at all positions computed."""
        routers = [found[f"router_{layer}"] for layer in range(self.depth)]
        routers[-1] = routers[-1][-self.answers :]
        total = sum(imbalance(p, self.top, mode.counts) for p in routers)
        return jnp.asarray(self.load_balance, routers[0].dtype) * total

    def activations(self, params: Params, inputs: jax.Array) -> dict[str, jax.Array]:
        """Return the activations at every position, [rows, tokens, ...]; attention [rows, queries, keys, heads]."""
        found = self.passed(params, inputs, Dropout(0.0, None), "full")[1]
        return {name: jnp.moveaxis(x, -2, 0) for name, x in found.items()}

    def passed(self, params: Params, inputs: jax.Array, drop: Dropout, path: str) -> tuple[jax.Array, dict[str, Any]]:
        """Return the logits, and activations [positions, ..., rows, width] of the positions computed."""
        params = self.complete(params)
        tokens, there = rows_last(inputs, self.padded)
        key = None if drop.key is None else jax.random.fold_in(drop.key, DRAWS * self.depth)
        begin = self.places.begin(len(inputs), key, there if self.padded else None)
        stream = embedded(self, params, tokens, path, begin)
        return onward(self, params, stream, 0, inputs.shape[1], drop, there, begin, path)

    def resumed(self, params: Params, state: jax.Array, layer: int, inputs: jax.Array) -> jax.Array:
        """Return the logits of rows whose states before a layer are given.

        Args:
            state: [rows, tokens, d_model], in place of the activations ``resid_pre_<layer>`` at all positions.
            inputs: the rows, which tell what is padding.
        """
        params, there = self.complete(params), rows_last(inputs, self.padded)[1]
        begin = self.places.begin(len(inputs), None, there if self.padded else None)
        x = jnp.swapaxes(state, 0, 1)
        part = Part(params, f"_{layer % self.layers}", self.norm)
        stream = Stream(x, part.normed(x, "ln1", "pre"))
        return onward(self, params, stream, layer, len(x), Dropout(0.0, None), there, begin, "answer")[0]

    def readout(self, params: Params, x: jax.Array) -> jax.Array:
        """Return the logits of the residual stream [..., d_model] after the last layer."""
        whole = Part(params, "", self.norm)
        return whole.linear(whole.normed(x, "ln_final", "pre"), "U")

    def complete(self, params: Params) -> Params:
        """Return the parameters with W_U, and with the factors of the initialisation multiplied in."""
        if self.tied:
            params = params | {"W_U": params["W_E"].T}
        return with_factors(params) if self.init == "mup" else params

    @property
    def places(self) -> Positions:
        """How tokens know where they stand."""
        return Positions(self.positions, self.shift, self.heads, self.causal)

    @property
    def scale(self) -> float:
        """What q k is multiplied by."""
        d_head = self.d_model // self.heads
        return 1 / d_head if self.init == "mup" else d_head**-0.5

    def from_torch(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        return from_lens(self, arrays) if written_by_lens(arrays) else from_nanda(self, arrays)

    def to_torch(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return to_nanda(self, params) if known_to_nanda(self, params) else to_lens(self, params)
