"""How many tokens attention looks at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.models.function import first_function
from grokdyn.probes.base import Probe, Shapes, Variable
from grokdyn.probes.neurons import activation_shapes
from grokdyn.probes.subset import places_of, rows_misfit
from grokdyn.probes.view import WHOLE, View, in_tiles
from grokdyn.spec.base import field
from grokdyn.spec.errors import Missing, Words
from grokdyn.spec.rules import Count, Name, Optional
from grokdyn.tasks.signature import Tokens

PATTERN = "attention"


class AttentionEntropy(Probe):
    """Entropy -sum_t a_t log a_t, in nats, of the attention weights a of the token read out, its mean over all rows.

    By layer and head: 0 where one token has all the weight, log(tokens) where all have the same. Reads the model's
    activations ``attention``, or ``attention_l`` of layer l, [rows, tokens, heads]. With ``rows`` the mean is over so
    many rows of a ``part``; which these are is told in ``SubsetProbe``.
    """

    rows: int | None = field(Optional(Count(2, 100_000)), default=None, doc="how many; none: all rows")
    part: str = field(Name(), default="table", doc="which rows they are taken from: table, train, test or another part")

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        model = shapes.experiment.model
        if not patterns(shapes):
            yield "kind", Words(f"{type(model).__name__}"), "a model with attention, on tokens"
        elif getattr(model, "attention", "softmax") != "softmax":
            yield "kind", Words(f"{model.attention} attention"), "softmax attention, whose weights are shares"
        if self.rows is not None:
            yield from rows_misfit(shapes, self.part, self.rows)
        elif self.part != "table":
            yield "rows", Missing(), f"a number of rows, where part is {self.part!r}"

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        found = patterns(shapes)
        heads = next(iter(found.values())).shape[-1]
        axes = {"layer": np.arange(len(found)), "head": np.arange(heads)}
        return {"attention_entropy": Variable("attention entropy", "nat", dims=("layer", "head"), coordinates=axes)}

    def measure(self, view: View) -> dict[str, jax.Array]:
        inputs = jnp.asarray(view.inputs)
        if self.rows is not None:
            inputs = inputs[places_of(view, self.part, self.rows)]
        rows, tile = inputs.shape[0], view.tile
        tile = rows if rows <= WHOLE * tile else tile
        tiles = -(-rows // tile)
        real = (jnp.arange(tiles * tile) < rows).reshape(tiles, tile)

        def of(part: tuple[jax.Array, jax.Array]) -> jax.Array:
            x, counts = part
            found = view.function.network(view.params, x).activations
            weights = jnp.stack([found[name] for name in in_order(found)]).astype(jnp.float64)
            terms = jnp.where(weights > 0, -weights * jnp.log(jnp.where(weights > 0, weights, 1)), 0)
            return jnp.einsum("lrth,r->lh", terms, counts.astype(jnp.float64))

        total = jnp.sum(jax.lax.map(of, (in_tiles(inputs, tiles, tile), real)), axis=0)
        return {"attention_entropy": total / rows}


def in_order(names: Any) -> list[str]:
    """Return the names of attention patterns, layer after layer."""
    found = [name for name in names if name == PATTERN or name.rpartition("_")[0] == PATTERN]
    return sorted(found, key=lambda name: (len(name), name))


def patterns(shapes: Shapes) -> dict[str, Any]:
    """Return the shapes of the attention patterns; none on inputs that are no tokens."""
    if not isinstance(shapes.signature.inputs, Tokens):
        return {}
    with jax.enable_x64(True):
        known = activation_shapes(first_function(shapes), shapes.params, shapes.signature.inputs.width)
    return {name: known[name] for name in in_order(known)}
