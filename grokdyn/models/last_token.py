"""One layer without norms, for rows that end with the same token: what its logits come to.

With a constant last token the query and the stream that it adds to are constants, so that scores are a table of the
vocabulary. Without norms everything up to the neurons, and everything from them on, is linear in what attention reads:
the matrices in a row are multiplied once, not with every row.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.models.output import Params
from grokdyn.spec.tree import Tree


class LastToken(Tree):
    """What the logits are computed from; differentiable in the parameters that it was made of.

    logits = [phi(read M + m), read] U + u, read = sum over places t of weights_t (values[token_t] + added_t), weights =
    softmax over t of scores_t[token_t], head by head; u and m are vectors.

    Attributes:
        scores: for every place [heads, vocabulary], or [heads] where all rows have the same token.
        values: W_V of the embedding [vocabulary, d]; added: [tokens, d], W_V of the positions and b_V, and of the whole
            stream where the token is constant.
        neurons: M [d, d_mlp] and m; None without an MLP.
        readout: U [d_mlp + d, outputs] and u.
    """

    scores: tuple[jax.Array, ...]
    values: jax.Array
    added: jax.Array
    neurons: tuple[jax.Array, jax.Array] | None
    readout: tuple[jax.Array, jax.Array]

    def logits(self, inputs: jax.Array, phi: Callable) -> jax.Array:
        """Return the logits [rows, outputs] for tokens [rows, tokens]."""
        x, (U, u) = self.read(inputs.T), self.readout
        if self.neurons is not None:
            M, m = self.neurons
            x = jnp.concatenate([phi(x @ M + m), x], axis=1)
        return x @ U + u

    def read(self, tokens: jax.Array) -> jax.Array:
        """Return what the last token reads [rows, d] from tokens [tokens, rows].

        Rows are the inner axis of scores and weights, which are a few numbers a row. A head's weight is spread over its
        columns of d by a product with zeros and ones, or with what is added to them.
        """
        heads, (rows, d) = self.scores[0].shape[0], (tokens.shape[1], self.values.shape[1])
        owner = jnp.asarray(np.repeat(np.eye(heads), d // heads, axis=1), self.values.dtype)  # [heads, d]
        scores = [s[:, None] if s.ndim == 1 else s[:, column] for s, column in zip(self.scores, tokens, strict=True)]
        weights = jax.nn.softmax(jnp.stack([jnp.broadcast_to(s, (heads, rows)) for s in scores]), axis=0)
        spread = (self.added[:, None] * owner).reshape(-1, d)
        read = weights.reshape(-1, rows).T @ spread
        for place, column in enumerate(tokens):
            if self.scores[place].ndim == 2:
                read = read + (weights[place].T @ owner) * self.values[column]
        return read


def last_token(
    params: Params,
    positions: jax.Array | None,
    fixed: tuple[int | None, ...],
    heads: int,
    scale: float,
    bias: jax.Array | None = None,
) -> LastToken:
    """Return what the logits of a layer with these parameters come to.

    Args:
        params: of a one-layer ``Transformer``, with ``W_U``, and factors of its initialisation multiplied in.
        positions: codes of positions [tokens, d], or None.
        fixed: the token of each place that has the same in all rows, None of the others; the last one is not None.
        scale: of the scores.
        bias: added to the scores of the last token [1, tokens, heads], if anything.
    """
    E, W_K, W_V, W_O, W_U = (params[name] for name in ("W_E", "W_K_0", "W_V_0", "W_O_0", "W_U"))
    nothing, d = jnp.zeros((), E.dtype), E.shape[1]
    b_Q, b_K, b_V, b_O, b_in, b_out, b_U = (
        params.get(name, nothing) for name in ("b_Q_0", "b_K_0", "b_V_0", "b_O_0", "b_in_0", "b_out_0", "b_U")
    )
    P = jnp.zeros((len(fixed), d), E.dtype) if positions is None else positions
    end = E[fixed[-1]] + P[-1]
    q = (end @ params["W_Q_0"] + b_Q) * jnp.asarray(scale, E.dtype)

    def by_head(x: jax.Array) -> jax.Array:
        return jnp.sum(x.reshape(-1, heads, d // heads), axis=-1)

    keys = by_head(W_K * q)
    of_tokens, of_places = (E @ keys).T, (P @ keys + by_head(b_K * q)).T
    if bias is not None:
        of_places = of_places + bias[0].T
    values, added = E @ W_V, P @ W_V + b_V
    scores = []
    for place, token in enumerate(fixed):
        if token is None:
            scores.append(of_tokens + of_places[:, place, None])
        else:
            scores.append(of_tokens[:, token] + of_places[:, place])
            added = added.at[place].add(values[token])
    x, neurons, written = end + b_O, None, W_O
    if "W_in_0" in params:
        W_in, W_out = params["W_in_0"], params["W_out_0"]
        neurons, written = (W_O @ W_in, x @ W_in + b_in), jnp.concatenate([W_out, W_O])
        x = x + b_out
    return LastToken(tuple(scores), values, added, neurons, (written @ W_U, x @ W_U + b_U))


def saves(d: int, d_mlp: int, outputs: int, rows: int) -> bool:
    """Return whether multiplying the matrices first takes fewer products than the rows save."""
    merged, apart = d * outputs + d_mlp * (d + outputs), d * outputs + d_mlp * 2 * d + d * d
    return rows * (apart - merged) > d * d * (d_mlp + outputs) + d_mlp * d * outputs
