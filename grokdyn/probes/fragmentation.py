"""How often the class changes on the way from one row to another, and what plain networks of layers need for that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.models.mlp import MLP
from grokdyn.models.output import Params
from grokdyn.probes.base import Shapes, Variable, fits_one_class
from grokdyn.probes.subset import SubsetProbe
from grokdyn.probes.view import View, largest
from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.kinds import kind_of
from grokdyn.spec.rules import Count
from grokdyn.tasks.signature import Tokens


def needs_plain_layers(shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
    """Yield the conflict of a probe that takes a network apart: an MLP that is not as it is written in its layers."""
    model, allowed = shapes.experiment.model, "an mlp without norms, as it is written"
    if not isinstance(model, MLP):
        yield "kind", Words(f"a model {kind_of(model)}"), allowed
        return
    for word in ("residual", "centred", "linearised"):
        if getattr(model, word):
            yield "kind", Words(f"a model that is {word}"), allowed
    if model.norm != "none":
        yield "kind", Words(f"a model with norm {model.norm}"), allowed


class Fragmentation(SubsetProbe):
    """``fragmentation`` [fragment_layer]: mean class changes on a segment between two rows (arXiv 2411.04695).

    Rows of the subset are taken in pairs, the first with the second, the third with the fourth; the class, that of the
    largest logit, is looked at ``points`` evenly spaced points, both ends included. In layer ``input`` the segment is
    between the inputs (one-hot codes of tokens, which no table has in between), in ``hidden_l`` between what layer
    l + 1 reads of both. A change there and back between two points is not seen. For MLPs without norms; costs
    rows / 2 * points passes, once a layer.
    """

    points: int = field(Count(2, 10_000), default=65, doc="where the class is looked at along a segment")

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        yield from super().conflicts(shapes)
        yield from fits_one_class(self, shapes)
        yield from needs_plain_layers(shapes)

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        depth = len(shapes.experiment.model.hidden)
        axis = {"fragment_layer": ["input", *(f"hidden_{layer}" for layer in range(depth))]}
        told = "class changes between two rows"
        return {"fragmentation": Variable(told, dims=("fragment_layer",), coordinates=axis)}

    def measure(self, view: View) -> dict[str, jax.Array]:
        model, params = view.experiment.model, view.params
        x = codes(view, self.inputs(view))
        hidden = model.apply(params, x).activations
        depth = len(model.hidden)
        changes = []
        for layer in range(depth + 1):
            rest, tensors = from_layer(model, params, layer)
            ends = x if layer == 0 else hidden[f"hidden_{layer - 1}"]
            changes.append(self.changes(rest, tensors, ends))
        return {"fragmentation": jnp.stack(changes)}

    def changes(self, model: MLP, params: Params, ends: jax.Array) -> jax.Array:
        """Return the mean number of changes between neighbours [2 pairs or one more, entries], float64."""
        pairs = ends[: len(ends) // 2 * 2].reshape(-1, 2, ends.shape[1])
        t = jnp.linspace(0, 1, self.points, dtype=ends.dtype)[:, None]

        def along(pair: jax.Array) -> jax.Array:
            logits = model.apply(params, pair[0] + t * (pair[1] - pair[0])).logits
            found = largest(logits)
            return jnp.sum(found[1:] != found[:-1], dtype=jnp.int32)

        return jnp.mean(jax.lax.map(along, pairs).astype(jnp.float64))


def codes(view: View, inputs: jax.Array) -> jax.Array:
    """Return inputs as vectors [rows, entries] in the dtype of the run, tokens as one-hot codes."""
    inputs, dtype = jnp.asarray(inputs), view.experiment.dtype
    kind = view.experiment.task.signature().inputs
    if isinstance(kind, Tokens):
        inputs = inputs[..., None] == jnp.arange(kind.vocabulary, dtype=inputs.dtype)
    return inputs.reshape(len(inputs), -1).astype(dtype)


def from_layer(model: MLP, params: Params, first: int) -> tuple[MLP, Params]:
    """Return the network that is left from a layer on, and its parameters under their new numbers."""
    left = range(first, len(model.hidden) + 1)
    named = {
        f"{word}_{layer - first}": params[f"{word}_{layer}"]
        for word in ("W", "b")
        for layer in left
        if f"{word}_{layer}" in params
    }
    return model.replace(hidden=model.hidden[first:]), named
