"""An embedding of tokens whose hidden inputs are summed: the network of Grokking Tickets."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.models.activations import ACTIVATIONS
from grokdyn.models.base import Model
from grokdyn.models.draws import normal
from grokdyn.models.output import Output, Params
from grokdyn.spec.base import field
from grokdyn.spec.rules import Choice, Count
from grokdyn.tasks.shapes import Conflicts, Shapes, needs_tokens
from grokdyn.tasks.signature import Signature, Tokens


class TokenSum(Model):
    """logits = phi(sum_i E[x_i] W_in) W_out W_U, without biases (Minegishi et al. 2023).

    All positions share the embedding, so that the order of the tokens does not matter. Parameters: ``W_E`` [tokens,
    d], ``W_in`` [d, hidden], ``W_out`` [hidden, d], ``W_U`` [d, outputs]; entries ~ N(0, 1/rows) of each. Activations:
    ``pre_0``, ``hidden_0``.
    """

    d_model: int = field(Count(), default=500, doc="d, length of a token's vector")
    hidden: int = field(Count(), default=48, doc="width of the hidden layer")
    activation: str = field(Choice(tuple(ACTIVATIONS)), default="relu", doc="phi")

    def conflicts(self, shapes: Shapes) -> Conflicts:
        yield from super().conflicts(shapes)
        yield from needs_tokens(shapes)

    def initial(self, key: jax.Array, signature: Signature, dtype: Any) -> dict[str, Any]:
        d, h, tokens = self.d_model, self.hidden, signature.inputs
        assert isinstance(tokens, Tokens), "conflicts come first"
        shapes = {"W_E": (tokens.vocabulary, d), "W_in": (d, h), "W_out": (h, d), "W_U": (d, signature.outputs)}
        keys = jax.random.split(key, len(shapes))
        return {
            name: normal(k, shape, dtype).then(lambda x, rows=shape[0]: x / rows**0.5)
            for k, (name, shape) in zip(keys, shapes.items(), strict=True)
        }

    def apply(self, params: Params, inputs: jax.Array) -> Output:
        # The tokens' hidden inputs first: a row then costs the sum of a few of their rows.
        received = (params["W_E"] @ params["W_in"])[inputs]
        pre = jnp.sum(received, axis=1)
        hidden = ACTIVATIONS[self.activation](pre)
        return Output(hidden @ (params["W_out"] @ params["W_U"]), {"pre_0": pre, "hidden_0": hidden})
