"""Probes of how much the loss rises around the weights: at worst, and on average."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from grokdyn.losses.base import of_rows
from grokdyn.probes.base import Shapes, Variable
from grokdyn.probes.subset import SubsetProbe
from grokdyn.probes.view import View
from grokdyn.spec.base import field
from grokdyn.spec.rules import Choice, Count, Flag, Name, Number, Optional

# Which draw of the probe's key they take.
STARTS, NOISE = 4, 5
Loss = Callable[[jax.Array], jax.Array]


class NearbyWeights(SubsetProbe):
    """Base: the loss at w + c e for e in a ball, c = |w| entry by entry where ``adaptive``, else 1.

    The loss is the mean of some rows' as it is measured, labels as trained; the adaptive ball does not change where two
    layers are rescaled against each other (Kwon et al. 2021; Andriushchenko et al. 2023).
    """

    part: str = field(Name(), default="train", doc="which rows they are taken from: table, train, test or another part")
    norm: str = field(Choice(("l2", "linf")), default="l2", doc="the size of a change")
    rho: float = field(Number(0, open_low=True), default=0.5, doc="radius of the ball")
    adaptive: bool = field(Flag(), default=True, doc="measure changes relative to the weights")

    def around(self, view: View, rows: jax.Array) -> Loss:
        """Return e -> the loss of rows at w + c e, of flat e."""
        flat, unravel = ravel_pytree(view.params)
        scale = jnp.abs(flat) if self.adaptive else jnp.ones_like(flat)
        inputs, labels = jnp.asarray(view.inputs)[rows], view.labels[rows]

        def loss(e: jax.Array) -> jax.Array:
            logits = view.function(unravel(flat + scale * e), inputs)
            return jnp.mean(of_rows(view.loss, logits, labels, view.targets))

        return loss

    def size(self, view: View) -> tuple[int, Any]:
        """Return the number of parameters and their dtype."""
        flat, _ = ravel_pytree(view.params)
        return flat.size, flat.dtype


class WorstSharpness(NearbyWeights):
    """``worst_sharpness``: max over |e|_p <= rho of the loss at w + c e, less that at w, p = 2 or infinity.

    Rows are cut into groups of ``m`` (all together where none is given; those that fill no group are left out), the
    maximum is taken of every group by itself, and the mean over groups recorded (m-sharpness, Foret et al. 2021). The
    maximum is the highest of all points of an ascent, so that it is found from below: from e = 0, and ``starts`` - 1
    random points of the sphere, ``steps`` times e <- P(e + 2 rho (1 - k / steps) u), u = g / |g| or sign g, g the
    gradient in e and P the nearest point of the ball. It costs groups x starts x (steps + 1) gradients of a group.
    """

    m: int | None = field(Optional(Count(1, 100_000)), default=None, doc="rows of a group; none: all together")
    steps: int = field(Count(1, 10_000), default=20, doc="steps of an ascent")
    starts: int = field(Count(1, 1000), default=1, doc="ascents")

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        yield from super().conflicts(shapes)
        if self.m is not None and self.m > self.rows:
            yield "m", self.m, f"at most rows, {self.rows}"

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        return {"worst_sharpness": Variable("largest rise of the loss nearby")}

    def measure(self, view: View) -> dict[str, jax.Array]:
        m = self.m or self.rows
        groups = self.index(view)[: self.rows // m * m].reshape(-1, m)
        key = jax.random.fold_in(view.key, STARTS)
        size, dtype = self.size(view)
        starts = jax.random.normal(key, (self.starts, size), dtype)
        starts = jax.vmap(lambda e: onto_sphere(e, self.rho, self.norm))(starts).at[0].set(0)

        def of_group(rows: jax.Array) -> jax.Array:
            loss = self.around(view, rows)
            highest = jnp.max(jax.lax.map(lambda e: self.climb(loss, e), starts))
            return (highest - loss(jnp.zeros((size,), dtype))).astype(jnp.float64)

        return {"worst_sharpness": jnp.mean(jax.lax.map(of_group, groups))}

    def climb(self, loss: Loss, e: jax.Array) -> jax.Array:
        """Return the highest loss of an ascent."""
        slope = jax.value_and_grad(loss)

        def step(k: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            e, best = carry
            value, g = slope(e)
            length = 2 * self.rho * (1 - k / self.steps)
            up = direction(g, self.norm) * jnp.asarray(length, e.dtype)
            return into_ball(e + up, self.rho, self.norm), jnp.maximum(best, value)

        last, best = jax.lax.fori_loop(0, self.steps, step, (e, jnp.asarray(-jnp.inf, e.dtype)))
        return jnp.maximum(best, loss(last))


class AverageSharpness(NearbyWeights):
    """``average_sharpness``: the mean over random e of the loss at w + c e, less that at w, with its standard error.

    e ~ N(0, rho^2 I) for ``l2``, uniform on [-rho, rho] for ``linf``. Each of the ``samples`` is a pair e, -e, so that
    slopes drop out; it costs two passes.
    """

    samples: int = field(Count(2, 100_000), default=16, doc="random pairs")

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        return {
            "average_sharpness": Variable("mean rise of the loss nearby"),
            "average_sharpness_error": Variable("standard error of the mean rise of the loss nearby"),
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        loss, (size, dtype) = self.around(view, self.index(view)), self.size(view)
        here = loss(jnp.zeros((size,), dtype))
        draw = jax.random.normal if self.norm == "l2" else signed_uniform

        def pair(key: jax.Array) -> jax.Array:
            e = jnp.asarray(self.rho, dtype) * draw(key, (size,), dtype)
            return ((loss(e) - here) + (loss(-e) - here)).astype(jnp.float64) / 2

        rises = jax.lax.map(pair, jax.random.split(jax.random.fold_in(view.key, NOISE), self.samples))
        error = jnp.std(rises, ddof=1) / jnp.sqrt(jnp.float64(self.samples))
        return {"average_sharpness": jnp.mean(rises), "average_sharpness_error": error}


def signed_uniform(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    return jax.random.uniform(key, shape, dtype, -1.0, 1.0)


def direction(g: jax.Array, norm: str) -> jax.Array:
    """Return the unit step along which a linear function of slope g rises most; 0 where g is 0."""
    if norm == "linf":
        return jnp.sign(g)
    length = jnp.linalg.norm(g)
    return jnp.where(length > 0, g / jnp.where(length > 0, length, 1), jnp.zeros((), g.dtype))


def into_ball(e: jax.Array, rho: Any, norm: str) -> jax.Array:
    """Return the nearest point of a ball."""
    radius = jnp.asarray(rho, e.dtype)
    if norm == "linf":
        return jnp.clip(e, -radius, radius)
    length = jnp.linalg.norm(e)
    return e * jnp.where(length > radius, radius / jnp.where(length > 0, length, 1), 1).astype(e.dtype)


def onto_sphere(e: jax.Array, rho: Any, norm: str) -> jax.Array:
    """Return a point of the sphere in a direction; a corner of the cube."""
    return direction(e, norm) * jnp.asarray(rho, e.dtype)
