"""Which states of a transformer an answer goes through, found by replacing them one at a time."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.models.transformer import Transformer
from grokdyn.probes.base import Shapes, Variable
from grokdyn.probes.subset import SubsetProbe
from grokdyn.probes.view import View, largest, mean
from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.rules import Count
from grokdyn.tasks.shapes import Conflicts
from grokdyn.tasks.signature import Tokens


class CausalTracing(SubsetProbe):
    """Share of answers that change when one state is replaced by that of another input (Wang et al. 2024).

    One token of a row is replaced by the token that another row has in its place, drawn at every record among the rows
    looked at. Of the rows whose answer changes with it, ``traced`` [token, layer, position] is the share whose answer
    also changes where the token stays and only the state that the layer reads at a position is that of the changed
    input: 1 where all that matters of the token passes through that state, 0 where none does. ``traced_rows`` [token]
    is the share of rows that are counted; where there are none, ``traced`` is nan. States before their token are never
    touched, those of layer 0 are the tokens themselves; layers that are run again count again.

    ``answer``: which of several answers is looked at, 0 the last one, 1 the one before.
    """

    answer: int = field(Count(0, 999), default=0, doc="which answer, counted from the last one")

    def conflicts(self, shapes: Shapes) -> Conflicts:
        model, answers = shapes.experiment.model, shapes.signature.answers
        if not isinstance(model, Transformer) or model.linearised or not isinstance(shapes.signature.inputs, Tokens):
            yield "kind", Words(f"{type(model).__name__}"), "a transformer on tokens, not linearised"
        elif self.answer >= answers:
            yield "answer", self.answer, f"below {answers}, the number of answers of a row"
        else:
            yield from (conflict for conflict in super().conflicts(shapes) if answers == 1 or conflict[0] != "kind")

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        model, inputs = shapes.experiment.model, shapes.signature.inputs
        assert isinstance(inputs, Tokens), "conflicts come first"
        places = np.arange(inputs.width)
        axes = {"token": places, "layer": np.arange(model.depth), "position": places}
        return {
            "traced": Variable("share of answers that change with the state", dims=tuple(axes), coordinates=axes),
            "traced_rows": Variable("share of answers that change with the token", dims=("token",), coordinates=axes),
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        inputs, model = self.inputs(view), view.experiment.model
        rows = len(inputs)
        order = jax.random.permutation(view.key, jnp.arange(rows, dtype=jnp.int32))
        partner = jnp.zeros(rows, jnp.int32).at[order].set(jnp.roll(order, 1))  # never a row itself
        shares, counted = traced(model, view.params, inputs, partner, self.answer)
        return {"traced": shares, "traced_rows": counted}


def traced(model: Any, params: Any, inputs: jax.Array, partner: jax.Array, answer: int) -> tuple[jax.Array, jax.Array]:
    """Return the shares [token, layer, position], and those of the rows counted [token].

    Args:
        inputs: int32 [rows, tokens]; partner: the row that each takes a token from, int32 [rows].
    """
    clean, places = model.activations(params, inputs), jnp.arange(inputs.shape[1], dtype=jnp.int32)

    def answered(state: jax.Array, layer: int) -> jax.Array:
        logits = model.resumed(params, state, layer, inputs)
        return largest(logits if logits.ndim == 2 else logits[:, -1 - answer])

    own = answered(clean["resid_pre_0"], 0)

    def of_token(token: jax.Array) -> tuple[jax.Array, jax.Array]:
        here, there = inputs[:, token], inputs[partner, token]
        changed = inputs.at[:, token].set(jnp.where((here >= 0) & (there >= 0), there, here))
        other = model.activations(params, changed)
        counted, shares = answered(other["resid_pre_0"], 0) != own, []
        for layer in range(model.depth):
            one, two = clean[f"resid_pre_{layer}"], other[f"resid_pre_{layer}"]

            def at(place: jax.Array, layer: int = layer, one: Any = one, two: Any = two) -> jax.Array:
                flips = answered(one.at[:, place].set(two[:, place]), layer) != own
                return mean(flips.astype(jnp.float32), counted)

            shares.append(jax.lax.map(at, places))
        return jnp.stack(shares), mean(counted.astype(jnp.float32), jnp.ones_like(counted))

    return jax.lax.map(of_token, places)
