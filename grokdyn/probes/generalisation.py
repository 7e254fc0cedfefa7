"""Measures of a network that are said to tell how far its test accuracy falls behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from grokdyn.losses.base import one_hot, pick
from grokdyn.models.initializers import multiplier
from grokdyn.models.output import Params
from grokdyn.probes.base import Probe, Shapes, Variable, fits_one_class
from grokdyn.probes.fragmentation import needs_plain_layers
from grokdyn.probes.view import View, largest
from grokdyn.spec.base import field
from grokdyn.spec.rules import Count, Number

# Which draw of the probe's key the noise is.
NOISE = 6
# Between which standard deviations the largest that is allowed is looked for.
LEAST, MOST = 1e-5, 1e2
# Of the margins of train rows, as Jiang et al. take it.
PERCENTILE = 10.0
BY_MARGIN = ("frobenius_product", "spectral_product", "spectral_complexity", "path")
MEASURES = (
    "parameters",
    "frobenius",
    "frobenius_product",
    "spectral",
    "spectral_product",
    "spectral_complexity",
    "path",
    "distance",
    "spectral_distance",
    "inverse_margin",
    *(f"{word}_over_margin" for word in BY_MARGIN),
    "pac_bayes",
    "pac_bayes_relative",
    "pac_bayes_distance",
    "pac_bayes_norm",
)


class GeneralisationMeasures(Probe):
    """``complexity`` [measure]: what is said to grow with the generalisation gap (Jiang et al. 2020).

    Of the layers' matrices W_l, as they multiply (their factor of ``init`` and the ``output_scale`` included), and what
    they were at step 0, V_l; logarithms are natural. ``parameters``: their number. ``frobenius``: sum |W|_F^2;
    ``frobenius_product``: sum log |W|_F^2; ``spectral``: sum s^2, s the largest singular value; ``spectral_product``:
    sum log s^2; ``spectral_complexity``: that + log sum |W|_F^2 / s^2 (Neyshabur et al. 2018). ``path``: log of the
    squared path norm, the sum over paths from an input to a logit of the product of squared weights, biases as weights
    of an input 1 (for activations that grow linearly). ``distance``: sum |W - V|_F^2; ``spectral_distance``: sum
    |W - V|_2^2.

    With g the 10th percentile of the margins z_y - max_{k != y} z_k of train rows: ``inverse_margin``, -2 log g, and
    four ``_over_margin``, -2 log g more; infinite where g is not above 0.

    With s the largest standard deviation of normal noise on every parameter at which the mean train accuracy of
    ``draws`` noisy networks is at most ``drop`` below that of the network, by ``halvings`` of the range of log s on the
    same noise: ``pac_bayes``, -2 log s; ``pac_bayes_relative``, the same of noise relative to the parameters;
    ``pac_bayes_distance`` and ``pac_bayes_norm``, |w - v|^2 / (4 s^2) + log(n / s) and |w|^2 / (4 s^2) + log(n / s), n
    train rows. Costs 2 draws * halvings passes over the train rows. For MLPs without norms.
    """

    needs_initial_params = True
    draws: int = field(Count(1, 100_000), default=8, doc="noisy networks")
    halvings: int = field(Count(1, 60), default=12, doc="of the range of the noise")
    drop: float = field(Number(0, 1), default=0.1, doc="of train accuracy that noise may cost")

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        yield from fits_one_class(self, shapes)
        yield from needs_plain_layers(shapes)

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        return {"complexity": Variable("complexity", dims=("measure",), coordinates={"measure": list(MEASURES)})}

    def measure(self, view: View) -> dict[str, jax.Array]:
        found = norms(view) | self.noise(view)
        inverse = -2 * jnp.log(jnp.maximum(lowest_margin(view), 0))
        found["inverse_margin"] = inverse
        found |= {f"{word}_over_margin": found[word] + inverse for word in BY_MARGIN}
        return {"complexity": jnp.stack([jnp.asarray(found[name], jnp.float64) for name in MEASURES])}

    def noise(self, view: View) -> dict[str, jax.Array]:
        assert view.initial_params is not None
        flat, unravel = ravel_pytree(view.params)
        first = ravel_pytree(view.initial_params)[0]
        key = jax.random.fold_in(view.key, NOISE)
        noise = jax.random.normal(key, (self.draws, flat.size), flat.dtype)
        n = view.split.n_train

        def accuracy(w: jax.Array) -> jax.Array:
            right = largest(view.function(unravel(w), view.rows.inputs)) == view.rows.labels
            return jnp.sum(right & view.rows.counts) / n

        least = accuracy(flat) - self.drop

        def holds(scale: jax.Array) -> Callable[[jax.Array], jax.Array]:
            def at(size: jax.Array) -> jax.Array:
                moved = (accuracy(flat + size.astype(flat.dtype) * scale * e) for e in noise)
                return sum(moved) / self.draws >= least

            return at

        plain, relative = (self.largest(holds(scale)) for scale in (jnp.ones_like(flat), jnp.abs(flat)))
        away, size = (jnp.sum(jnp.square(x.astype(jnp.float64))) for x in (flat - first, flat))
        rest = jnp.log(n / plain)
        return {
            "pac_bayes": -2 * jnp.log(plain),
            "pac_bayes_relative": -2 * jnp.log(relative),
            "pac_bayes_distance": away / (4 * plain**2) + rest,
            "pac_bayes_norm": size / (4 * plain**2) + rest,
        }

    def largest(self, holds: Callable[[jax.Array], jax.Array]) -> jax.Array:
        """Return the largest size at which something holds, from below: its logarithm to so many halvings."""
        ends = jnp.log(jnp.asarray([LEAST, MOST], jnp.float64))

        def halve(_: jax.Array, ends: jax.Array) -> jax.Array:
            middle = jnp.mean(ends)
            return jnp.where(holds(jnp.exp(middle)), ends.at[0].set(middle), ends.at[1].set(middle))

        return jnp.exp(jax.lax.fori_loop(0, self.halvings, halve, ends)[0])


def layers(model: Any, params: Params) -> list[tuple[jax.Array, jax.Array | None]]:
    """Return weights and biases of every layer in float64, as they enter the logits."""
    depth, found = len(model.hidden), []
    for layer in range(depth + 1):
        W, b = params[f"W_{layer}"].astype(jnp.float64), params.get(f"b_{layer}")
        W = W * multiplier(model.init, W.shape[0], last=layer == depth)
        scale = model.output_scale if layer == depth else 1.0
        found.append((scale * W, None if b is None else scale * b.astype(jnp.float64)))
    return found


def norms(view: View) -> dict[str, Any]:
    """Return the measures that are of the weights alone."""
    assert view.initial_params is not None
    model = view.experiment.model
    now, then = (layers(model, params) for params in (view.params, view.initial_params))
    squares = jnp.stack([jnp.sum(jnp.square(W)) for W, _ in now])
    tops = jnp.stack([top(W) for W, _ in now]) ** 2
    apart = [W - V for (W, _), (V, _) in zip(now, then, strict=True)]
    product = jnp.sum(jnp.log(tops))
    return {
        "parameters": float(sum(leaf.size for leaf in jax.tree.leaves(view.params))),
        "frobenius": jnp.sum(squares),
        "frobenius_product": jnp.sum(jnp.log(squares)),
        "spectral": jnp.sum(tops),
        "spectral_product": product,
        "spectral_complexity": product + jnp.log(jnp.sum(squares / tops)),
        "path": path(now),
        "distance": sum(jnp.sum(jnp.square(D)) for D in apart),
        "spectral_distance": sum(top(D) ** 2 for D in apart),
    }


def top(W: jax.Array) -> jax.Array:
    """Return the largest singular value, from the smaller of the two Gram matrices."""
    gram = W @ W.T if W.shape[0] < W.shape[1] else W.T @ W
    return jnp.sqrt(jnp.maximum(jnp.linalg.eigvalsh(gram)[-1], 0))


def path(found: list[tuple[jax.Array, jax.Array | None]]) -> jax.Array:
    """Return the logarithm of the sum over paths of the product of squared weights."""
    size = jnp.ones(found[0][0].shape[0], jnp.float64)
    for W, b in found:
        size = size @ jnp.square(W) + (0 if b is None else jnp.square(b))
    return jnp.log(jnp.sum(size))


def lowest_margin(view: View) -> jax.Array:
    """Return the 10th percentile of the margins of the train rows, float64."""
    logits = view.train_logits.astype(jnp.float64)
    others = jnp.where(one_hot(view.rows.labels, logits.shape[-1]), -jnp.inf, logits)
    margins = pick(logits, view.rows.labels) - jnp.max(others, axis=-1)
    return jnp.nanpercentile(jnp.where(view.rows.counts, margins, jnp.nan), PERCENTILE)
