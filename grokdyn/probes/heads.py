"""What heads of attention look at: their maps, how alike they are, and whether they find what stood behind a token."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.models.transformer import Transformer
from grokdyn.probes.base import Probe, Shapes, Variable
from grokdyn.probes.subset import SubsetProbe
from grokdyn.probes.view import View
from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.rules import Count
from grokdyn.tasks.shapes import Conflicts
from grokdyn.tasks.signature import Tokens


def needs_heads(shapes: Shapes, least: int = 1) -> Conflicts:
    """Yield a conflict where there is no transformer on tokens with softmax attention and so many heads."""
    model = shapes.experiment.model
    if not isinstance(model, Transformer) or model.linearised or not isinstance(shapes.signature.inputs, Tokens):
        yield "kind", Words(f"{type(model).__name__}"), "a transformer on tokens, not linearised"
    elif model.attention != "softmax":
        yield "kind", Words(f"{model.attention} attention"), "softmax attention, whose weights are shares"
    elif model.heads < least:
        yield "kind", Words(f"{model.heads} head"), f"a transformer with {least} heads or more"


def maps(model: Any, params: Any, inputs: jax.Array) -> jax.Array:
    """Return the weights of every query, float64 [layers, rows, queries, keys, heads]."""
    found = model.activations(params, inputs)
    return jnp.stack([found[f"attention_{layer}"] for layer in range(model.depth)]).astype(jnp.float64)


class AttentionMaps(SubsetProbe):
    """Weights of attention, ``attention_map`` [layer, head, query, key], their mean over rows whose query is a token.

    A query's weights add up to 1. Positions are counted from the left, where rows may have padding; nan where no row
    has a token. With ``every`` they are taken at chosen steps; layers that are run again count again.
    """

    def conflicts(self, shapes: Shapes) -> Conflicts:
        yield from needs_heads(shapes)
        yield from super().conflicts(shapes)

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        model, width = shapes.experiment.model, np.arange(shapes.signature.inputs.width)
        axes = {"layer": np.arange(model.depth), "head": np.arange(model.heads), "query": width, "key": width}
        return {"attention_map": Variable("weight of attention", dims=tuple(axes), coordinates=axes)}

    def measure(self, view: View) -> dict[str, jax.Array]:
        inputs = self.inputs(view)
        real = (inputs >= 0).astype(jnp.float64)
        total = jnp.einsum("lrqkh,rq->lhqk", maps(view.experiment.model, view.params, inputs), real)
        return {"attention_map": total / jnp.sum(real, axis=0)[:, None]}


class HeadLikeness(SubsetProbe):
    """How alike the heads of a layer are.

    ``head_cosine`` [layer]: cosine of the maps of two heads of a row, all weights of all its queries as one vector, its
    mean over pairs and rows: 1 where all look at the same. ``entropy_spread`` [layer], in nats: the standard deviation
    over heads of the entropy of a query's weights, each head's being its mean over the queries of all rows. Queries
    that are padding do not count.
    """

    def conflicts(self, shapes: Shapes) -> Conflicts:
        yield from needs_heads(shapes, least=2)
        yield from super().conflicts(shapes)

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        axes = {"layer": np.arange(shapes.experiment.model.depth)}
        return {
            "head_cosine": Variable("cosine of two heads' attention", dims=("layer",), coordinates=axes),
            "entropy_spread": Variable("spread of heads' entropy", "nat", dims=("layer",), coordinates=axes),
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        inputs = self.inputs(view)
        real = (inputs >= 0).astype(jnp.float64)
        weights = maps(view.experiment.model, view.params, inputs) * real[:, :, None, None]
        products = jnp.einsum("lrqkh,lrqkg->lrhg", weights, weights)
        heads = weights.shape[-1]
        lengths = jnp.sqrt(jnp.einsum("lrhh->lrh", products))
        cosines = products / (lengths[..., :, None] * lengths[..., None, :])
        pairs = np.triu_indices(heads, 1)
        entropies = -jnp.sum(jnp.where(weights > 0, weights * jnp.log(jnp.where(weights > 0, weights, 1)), 0), axis=3)
        each = jnp.sum(entropies, axis=(1, 2)) / jnp.sum(real)
        return {
            "head_cosine": jnp.mean(cosines[..., *pairs], axis=(1, 2)),
            "entropy_spread": jnp.std(each, axis=1),
        }


class InductionScore(Probe):
    """Weight on what stood behind the same token before, ``induction_score`` [layer, head] (Olsson et al. 2022).

    ``strings`` strings of ``length`` tokens, drawn uniformly from the vocabulary, each with itself behind it: the mean
    weight from a token of the second half to the one behind its like in the first. 1 for an induction head; about
    1 / (1.5 length) where weights are even. The strings are the same at all steps of a run, from its probe stream.
    """

    length: int = field(Count(2, 10_000), default=8, doc="tokens of a string, which is written twice")
    strings: int = field(Count(1, 100_000), default=64, doc="number of strings")

    def conflicts(self, shapes: Shapes) -> Conflicts:
        yield from needs_heads(shapes)
        inputs = shapes.signature.inputs
        if isinstance(inputs, Tokens) and 2 * self.length > inputs.width:
            yield "length", self.length, f"at most {inputs.width // 2}, half of the {inputs.width} tokens of a row"

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        model = shapes.experiment.model
        axes = {"layer": np.arange(model.depth), "head": np.arange(model.heads)}
        words = "weight on what stood behind the same token"
        return {"induction_score": Variable(words, dims=tuple(axes), coordinates=axes)}

    def measure(self, view: View) -> dict[str, jax.Array]:
        vocabulary = view.experiment.task.signature().inputs.vocabulary
        once = jax.random.randint(view.key, (self.strings, self.length), 0, vocabulary, jnp.int32)
        weights = maps(view.experiment.model, view.params, jnp.concatenate([once, once], axis=1))
        queries = np.arange(self.length, 2 * self.length)
        return {"induction_score": jnp.mean(weights[:, :, queries, queries - self.length + 1], axis=(1, 2))}
