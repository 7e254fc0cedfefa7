"""Moves of chains that draw from exp(-U), U = n_beta (L - L(w*)) + localisation |w - w*|^2 / 2, on trees of arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

# What Metropolis' test is to accept of draws once the step is tuned; of each draw the step is off by up to a share,
# so that no direction comes back to where it was.
ACCEPTED, SPREAD = 0.8, 0.2
# Dual averaging as in Hoffman & Gelman (2014), algorithm 5.
SHRINK, DELAY, FORGET, AHEAD = 0.05, 10.0, 0.75, 10.0


class Point(NamedTuple):
    """Where a chain is: a tree, its loss in float64, the gradient of the loss."""

    params: Any
    loss: jax.Array
    gradient: Any


class Energy(NamedTuple):
    """U around ``home``, from w -> L, grad L."""

    value_and_gradient: Callable[[Any], tuple[jax.Array, Any]]
    home: Any
    n_beta: Any
    localisation: Any

    def at(self, params: Any) -> Point:
        loss, gradient = self.value_and_gradient(params)
        return Point(params, loss.astype(jnp.float64), gradient)

    def slope(self, point: Point) -> Any:
        """Return grad U, in the dtypes of the parameters."""

        def one(w: jax.Array, g: jax.Array, w0: jax.Array) -> jax.Array:
            return jnp.asarray(self.n_beta, w.dtype) * g + jnp.asarray(self.localisation, w.dtype) * (w - w0)

        return jax.tree.map(one, point.params, point.gradient, self.home)

    def rise(self, before: Point, after: Point) -> jax.Array:
        """Return U after less U before, float64."""
        pulls = [square(jax.tree.map(jnp.subtract, point.params, self.home)) for point in (after, before)]
        return self.n_beta * (after.loss - before.loss) + self.localisation * (pulls[0] - pulls[1]) / 2


class Tuning(NamedTuple):
    """Epsilon in use after the burn-in and on trial within it, and what dual averaging remembers."""

    size: jax.Array
    trial: jax.Array
    error: jax.Array
    centre: jax.Array


def untuned(step_size: Any) -> Tuning:
    size = jnp.asarray(step_size, jnp.float64)
    return Tuning(size, size, jnp.float64(0), jnp.log(AHEAD * jnp.sqrt(size)))


def adapted(tuning: Tuning, accepted: jax.Array, i: jax.Array) -> Tuning:
    """Return the step after the draw i = 0, 1, ... of the burn-in, which was taken with a probability ``accepted``."""
    count = i + 1.0
    error = tuning.error + (ACCEPTED - accepted - tuning.error) / (count + DELAY)
    trial = tuning.centre - jnp.sqrt(count) / SHRINK * error
    share = count**-FORGET
    # Logarithms are those of a leap, epsilon its square.
    size = jnp.exp(2 * (share * trial + (1 - share) * jnp.log(tuning.size) / 2))
    return Tuning(size, jnp.exp(2 * trial), error, tuning.centre)


def leapt(energy: Energy, point: Point, key: jax.Array, step_size: Any, leaps: int) -> tuple[Point, jax.Array]:
    """Return the next draw of Hamiltonian Monte Carlo, and the probability with which Metropolis' test takes it.

    Momenta p ~ N(0, I), ``leaps`` times p <- p - e grad U / 2, w <- w + e p, p <- p - e grad U / 2 with
    e = sqrt(step_size) times a uniform draw of [1 - SPREAD, 1 + SPREAD]; taken with probability min(1, exp(-rise of
    U + |p|^2 / 2)), 0 where that is no number. One leap is a Langevin step of size e^2.
    """
    momenta_key, test_key, length_key = jax.random.split(key, 3)
    momenta = normal_like(momenta_key, point.params)
    off = jax.random.uniform(length_key, (), jnp.float64, 1 - SPREAD, 1 + SPREAD)
    length = jnp.sqrt(step_size) * off

    def leap(_: jax.Array, state: tuple[Any, Point]) -> tuple[Any, Point]:
        p, at = state
        p = moved(p, energy.slope(at), -length / 2)
        at = energy.at(moved(at.params, p, length))
        return moved(p, energy.slope(at), -length / 2), at

    after, there = jax.lax.fori_loop(0, leaps, leap, (momenta, point))
    rise = energy.rise(point, there) + (square(after) - square(momenta)) / 2
    accepted = jnp.where(jnp.isnan(rise), 0.0, jnp.exp(-jnp.maximum(rise, 0)))
    taken = jax.random.uniform(test_key, (), jnp.float64) < accepted
    return jax.tree.map(lambda new, old: jnp.where(taken, new, old), there, point), accepted


def langevin_step(energy: Energy, point: Point, key: jax.Array, step_size: Any) -> Point:
    """Return w - (step_size/2) grad U + sqrt(step_size) N(0, 1)."""
    drifted = moved(point.params, energy.slope(point), -step_size / 2)
    return energy.at(moved(drifted, normal_like(key, point.params), jnp.sqrt(step_size)))


def normal_like(key: jax.Array, params: Any) -> Any:
    """Return draws of N(0, 1), a tree like another."""
    tree = jax.tree.structure(params)
    keys = jax.tree.unflatten(tree, list(jax.random.split(key, tree.num_leaves)))
    return jax.tree.map(lambda w, key: jax.random.normal(key, w.shape, w.dtype), params, keys)


def moved(params: Any, along: Any, by: Any) -> Any:
    return jax.tree.map(lambda w, v: w + jnp.asarray(by, w.dtype) * v, params, along)


def inner(a: Any, b: Any) -> jax.Array:
    """Return the inner product of two trees as vectors, in float64."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return jnp.sum(jnp.stack([jnp.sum(x.astype(jnp.float64) * y.astype(jnp.float64)) for x, y in pairs]))


def square(a: Any) -> jax.Array:
    return inner(a, a)
