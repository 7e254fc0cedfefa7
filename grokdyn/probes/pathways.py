"""Which experts rows are given, layer after layer: how far apart these pathways are, and how smooth."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.models.transformer import Transformer
from grokdyn.probes.base import Shapes, Variable, fits_one_class
from grokdyn.probes.subset import SubsetProbe
from grokdyn.probes.view import View, mean
from grokdyn.spec.base import field
from grokdyn.spec.kinds import kind_of
from grokdyn.spec.rules import Name, Number
from grokdyn.tasks.shapes import Conflicts

# Layers from which on the consistency of a pathway is more than a constant.
LEAST_LAYERS = 3
FITS = "a probe of other networks: this one is of a transformer with several experts"
# Keeps a quotient of cosines finite.
TINY = 1e-8


class Pathways(SubsetProbe):
    """Pathways of memorised rows through a transformer's experts (Li, Fan & Zhou 2025).

    A row's pathway lists in every layer the experts in falling order of g, the router's probability averaged over the
    tokens that the answer needs (all but in the last layer, there the last), until their sum is above ``share``.
    ``pathway_distance``: the mean edit distance of the pathways of two rows, insertions, deletions and substitutions
    counted once each, experts of different layers being different. ``pathway_consistency``, of three layers and more:
    the mean of 1 - mean_l c_l / (max_l c_l + 1e-8), c_l the cosine of e_l and e_{l+1}, e_l = sum_k g_k v_k with v_k
    the column of expert k in the router's matrix; the lower the smoother. Where the largest cosine of a row is near 0
    that quotient is any number, so that ``pathway_cosine``, the mean of all c_l, is recorded beside it.
    ``pathway_rows``: how many rows are memorised, that is have a loss of at most ``memorised`` at this record; the
    others are nan where there are fewer than two.
    """

    part: str = field(Name(), default="train", doc="which rows they are taken from: table, train, test or another part")
    share: float = field(Number(0, 1), default=0.7, doc="of the probability that listed experts pass")
    memorised: float = field(Number(0), default=0.1, doc="largest loss of a row that counts as memorised")

    def conflicts(self, shapes: Shapes) -> Conflicts:
        model = shapes.experiment.model
        if not isinstance(model, Transformer) or model.experts == 1:
            yield "kind", kind_of(self), FITS
        yield from fits_one_class(self, shapes)
        yield from super().conflicts(shapes)

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        found = {
            "pathway_distance": Variable("edit distance of pathways"),
            "pathway_rows": Variable("memorised rows"),
        }
        if shapes.experiment.model.layers >= LEAST_LAYERS:
            found["pathway_consistency"] = Variable("inconsistency of pathways")
            found["pathway_cosine"] = Variable("cosine of a pathway's successive layers")
        return found

    def measure(self, view: View) -> dict[str, jax.Array]:
        model = view.experiment.model
        weights = routed(model, view.params, self.inputs(view))
        known = view.row_losses[self.index(view)] <= jnp.asarray(self.memorised, view.row_losses.dtype)
        pairs = (known[:, None] & known[None, :]) & ~jnp.eye(self.rows, dtype=bool)
        found = {
            "pathway_distance": mean(edit_distances(*listed(weights, self.share)), pairs),
            "pathway_rows": jnp.sum(known),
        }
        if model.layers >= LEAST_LAYERS:
            routers = [view.params[f"W_router_{layer}"] for layer in range(model.layers)]
            several, c = known & (jnp.sum(known) > 1), cosines(weights, jnp.stack(routers))
            found["pathway_consistency"] = mean(1 - jnp.mean(c, axis=0) / (jnp.max(c, axis=0) + TINY), several)
            found["pathway_cosine"] = mean(jnp.mean(c, axis=0), several)
        return found


def routed(model: Any, params: Any, inputs: jax.Array) -> jax.Array:
    """Return the routers' probabilities averaged over the tokens that the answer needs [layers, rows, experts]."""
    found = model.activations(params, inputs)
    each = [found[f"router_{layer}"] for layer in range(model.layers)]
    return jnp.stack([*(jnp.mean(p, axis=1) for p in each[:-1]), each[-1][:, -1]])


def listed(weights: jax.Array, share: Any) -> tuple[jax.Array, jax.Array]:
    """Return the pathways of rows, experts numbered through the layers, int32 [rows, places], and their lengths [rows].

    Places behind a pathway's end hold experts that are not listed.
    """
    layers, rows, experts = weights.shape
    order = jnp.argsort(-weights, axis=-1, stable=True)
    falling = jnp.take_along_axis(weights, order, axis=-1)
    before = jnp.cumsum(falling, axis=-1) - falling
    kept = jnp.moveaxis(before <= jnp.asarray(share, weights.dtype), 1, 0).reshape(rows, -1)
    numbered = jnp.moveaxis(order + experts * jnp.arange(layers)[:, None, None], 1, 0).reshape(rows, -1)
    first = jnp.argsort(~kept, axis=-1, stable=True)
    return jnp.take_along_axis(numbered, first, axis=-1).astype(jnp.int32), jnp.sum(kept, axis=-1, dtype=jnp.int32)


def edit_distances(words: jax.Array, lengths: jax.Array) -> jax.Array:
    """Return the edit distance (Levenshtein 1966) of all pairs of words [rows, places], int32 [rows, rows]."""
    places = jnp.arange(words.shape[1] + 1, dtype=jnp.int32)

    def between(one: jax.Array, n: jax.Array, other: jax.Array, m: jax.Array) -> jax.Array:
        def row(above: jax.Array, letter: jax.Array) -> tuple[jax.Array, jax.Array]:
            kept = above[:-1] + (letter != other)
            best = jnp.concatenate([above[:1] + 1, jnp.minimum(kept, above[1:] + 1)])
            # The least over all insertions so far: best_k + (j - k), k <= j.
            best = jax.lax.cummin(best - places) + places
            return best, best

        _, below = jax.lax.scan(row, places, one)
        return jnp.where(n > 0, below[n - 1, m], m)

    each = jax.vmap(between, in_axes=(None, None, 0, 0))
    return jax.lax.map(lambda one: each(one[0], one[1], words, lengths), (words, lengths))


def cosines(weights: jax.Array, routers: jax.Array) -> jax.Array:
    """Return the cosines of the experts' mean vectors of successive layers, float64 [layers - 1, rows].

    Args:
        weights: [layers, rows, experts].
        routers: [layers, width, experts].
    """
    e = jnp.einsum("lre,lde->lrd", weights, routers).astype(jnp.float64)
    norms = jnp.sqrt(jnp.sum(jnp.square(e), axis=-1))
    return jnp.sum(e[1:] * e[:-1], axis=-1) / (norms[1:] * norms[:-1])
