"""What the states of a transformer say of a token, read as if they were the last ones."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.models.transformer import Transformer
from grokdyn.probes.base import Probe, Variable
from grokdyn.probes.fit import told
from grokdyn.probes.view import View, in_tiles, mean
from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.rules import Name
from grokdyn.tasks.shapes import Conflicts, Shapes
from grokdyn.tasks.signature import Tokens


class LogitLens(Probe):
    """Mean reciprocal rank of a token among the logits that are read from inner states (nostalgebraist 2020).

    The state after every layer, at every position, goes through the last norm and W_U; the rank of the row's token is 1
    for the largest logit, 1 + the number of larger ones in general. ``<part>_logit_lens`` [layer, position] is the mean
    of 1/rank over the rows of a part: 1 where the state says the token, about log(outputs) / outputs where it says
    nothing. Layer 0 is what the first layer reads; layers that are run again count again.

    ``token``: which token of a row, by the name of a feature of the task's rows: ``label``, its (clean) class, or what
    a task says besides, such as the entity on the way to the answer of a composition. Rows of which the task names no
    token, -1, are left out.
    """

    token: str = field(Name(), default="label", doc="feature of a row that names a token")

    def conflicts(self, shapes: Shapes) -> Conflicts:
        yield from super().conflicts(shapes)
        model = shapes.experiment.model
        if not isinstance(model, Transformer) or model.linearised or not isinstance(shapes.signature.inputs, Tokens):
            yield "kind", Words(f"{type(model).__name__}"), "a transformer on tokens, not linearised"
            return
        x, labels = jax.ShapeDtypeStruct((1, *shapes.signature.inputs.shape), jnp.int32), (1, shapes.signature.answers)
        y = jax.ShapeDtypeStruct(labels if labels[1] > 1 else (1,), jnp.int32)
        found = jax.eval_shape(shapes.experiment.task.features, x, y)
        known = [name for name, value in found.items() if jnp.issubdtype(value.dtype, jnp.integer)]
        if self.token not in known:
            yield "token", self.token, "a whole number of a row: " + (", ".join(known) or "this task names none")

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        model, inputs = shapes.experiment.model, shapes.signature.inputs
        assert isinstance(inputs, Tokens), "conflicts come first"
        axes = {"layer": np.arange(model.depth + 1), "position": np.arange(inputs.width)}
        words = f"mean reciprocal rank of {self.token}"
        return {
            f"{part}_logit_lens": Variable(f"{words}, {told(part)}", dims=tuple(axes), coordinates=axes, part=part)
            for part in shapes.parts
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        inputs = jnp.asarray(view.inputs)
        token = view.experiment.task.features(inputs, jnp.asarray(view.clean_labels))[self.token]
        rows, tile = inputs.shape[0], view.tile
        tiles = -(-rows // tile)

        def of(part: tuple[jax.Array, jax.Array]) -> jax.Array:
            return reciprocal_ranks(view.experiment.model, view.params, *part)

        found = jax.lax.map(of, jax.tree.map(lambda x: in_tiles(x, tiles, tile), (inputs, token)))
        found = jnp.moveaxis(found, 1, 2).reshape(tiles * tile, *found.shape[1:2], found.shape[-1])[:rows]
        return {
            f"{part}_logit_lens": jax.vmap(jax.vmap(mean, (1, None)), (1, None))(found, those & (token >= 0))
            for part, those in view.parts.items()
        }


def reciprocal_ranks(model: Any, params: Any, inputs: jax.Array, token: jax.Array) -> jax.Array:
    """Return 1/rank of a token of every row [rows] in each state, float64 [layers + 1, rows, tokens]."""
    found = model.activations(params, inputs)
    states = jnp.stack([found["resid_pre_0"], *(found[f"resid_post_{layer}"] for layer in range(model.depth))])
    logits = model.readout(model.complete(params), states)
    own = jnp.take_along_axis(logits, jnp.maximum(token, 0).astype(jnp.int32)[None, :, None, None], axis=-1)
    return 1 / (1 + jnp.sum(logits > own, axis=-1)).astype(jnp.float64)
