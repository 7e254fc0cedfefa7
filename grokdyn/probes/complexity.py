"""How many pieces a network cuts the space of its inputs into, near data and away from them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.models.function import first_function
from grokdyn.models.output import Output, Params
from grokdyn.probes.base import Shapes, Variable
from grokdyn.probes.nearby import TOGETHER, NearbyProbe, ends
from grokdyn.probes.subset import input_shape
from grokdyn.probes.view import View
from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.numbers import Numbers
from grokdyn.spec.rules import Count
from grokdyn.tasks.signature import Tokens

LOGITS = "logits"
RANDOM = "random"
# Which part of the constant draws is which.
DIRECTIONS, POINTS = 0, 1


class LocalComplexity(NearbyProbe):
    """Mean number of units whose sign changes in a neighbourhood of a point (Humayun, Balestriero & Baraniuk 2024).

    The neighbourhood of x is the hull of x + r v_p and x - r v_p, with ``vertices`` / 2 orthonormal directions v_p that
    are the same for all points, steps and runs. A unit counts where its preactivation is above 0 at some vertices and
    not at others: of the first layer, just where its hyperplane cuts the hull; of later ones, where the images of the
    vertices lie on both sides. ``<points>_local_complexity`` [radius, layer], points: rows of the ``parts``, and
    ``random`` ones, uniform between the smallest and the largest entry of the inputs. Layers: the activations ``pre_l``
    that the model names (a convolution's at every place), then ``logits``; their sum is the paper's number.
    """

    vertices: int = field(Count(2, 10_000), default=50, doc="of the hull, an even number; two a direction")
    radii: tuple[float, ...] = field(Numbers(0, open_low=True), default=(0.05, 0.5), doc="radii r of the hull")

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if self.vertices % 2:
            yield "vertices", self.vertices, "an even number"

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        yield from super().conflicts(shapes)
        inputs = shapes.signature.inputs
        if isinstance(inputs, Tokens):
            return
        if self.vertices > 2 * inputs.entries:
            yield "vertices", self.vertices, f"at most {2 * inputs.entries}, two for each entry of an input"
        if shapes.experiment.model.linearised or len(layers(shapes)) == 1:
            yield "kind", Words("a model without preactivations"), "one that names them pre_l, such as mlp or cnn"

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        axes = {"radius": np.asarray(self.radii), "layer": layers(shapes)}
        return {
            f"{points}_local_complexity": Variable(
                f"units that change sign near {points} points", "1", tuple(axes), axes
            )
            for points in (*self.parts, RANDOM)
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        sets = {part: self.points(view, part)[0] for part in self.parts} | {RANDOM: self.drawn(view)}
        return {f"{name}_local_complexity": self.around(view, x) for name, x in sets.items()}

    def drawn(self, view: View) -> jax.Array:
        """Return as many random points, the same shares of the inputs' range at all steps of all runs."""
        least, most = ends(view)
        shares = np.random.default_rng(POINTS).random((self.rows, *view.inputs.shape[1:]))
        return least + (most - least) * jnp.asarray(shares, least.dtype)

    def around(self, view: View, x: jax.Array) -> jax.Array:
        """Return the mean counts around points [radius, layer], float64."""
        around = directions(self.vertices // 2, x[0].size).reshape(-1, *x.shape[1:])
        hull = jnp.asarray(np.concatenate([around, -around]), x.dtype)
        each = partial(crossed, view.function, view.params, hull)
        together = max(1, TOGETHER // self.vertices)

        def at(radius: jax.Array) -> jax.Array:
            counts = jax.lax.map(lambda point: each(point, radius), x, batch_size=min(together, len(x)))
            return jnp.mean(counts.astype(jnp.float64), axis=0)

        return jax.lax.map(at, jnp.asarray(self.radii, x.dtype))


def directions(count: int, entries: int) -> np.ndarray:
    """Return orthonormal directions [count, entries], uniform among all such, always the same."""
    drawn = np.random.default_rng(DIRECTIONS).standard_normal((entries, count))
    q, r = np.linalg.qr(drawn)
    return (q * np.sign(np.diag(r))).T


def crossed(f: Any, params: Params, hull: jax.Array, x: jax.Array, radius: jax.Array) -> jax.Array:
    """Return how many units of every layer have both signs among the vertices x + radius hull, int32 [layers]."""
    found = f.output(params, x + radius * hull)
    signs = [(z > 0).reshape(len(hull), -1) for z in preactivations(found).values()]
    return jnp.stack([jnp.sum(jnp.any(s != s[:1], axis=0), dtype=jnp.int32) for s in signs])


def preactivations(found: Output) -> dict[str, jax.Array]:
    """Return what the units of every layer are of, in the order of the layers, the logits last."""
    names = [name for name in found.activations if name.startswith("pre_")]
    ordered = sorted(names, key=lambda name: (len(name), name))
    return {name: found.activations[name] for name in ordered} | {LOGITS: found.logits}


def layers(shapes: Shapes) -> list[str]:
    """Return the names of the layers whose units are counted."""
    x = input_shape(shapes.signature, 2)
    with jax.enable_x64(True):
        known = jax.eval_shape(lambda w, x: preactivations(first_function(shapes).output(w, x)), shapes.params, x)
    return sorted(known, key=lambda name: (name == LOGITS, len(name), name))
