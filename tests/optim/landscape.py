"""A function whose gradient is written down, for optimizers that look at it in several places.

f(w) = w . A w / 2 + sum cos(w), so grad f = A w - sin(w): no quadratic, no symmetry, two tensors.
"""

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.optim.gradient import Gradient
from tests.contract import arrays

SHAPES = {"M": (3, 4), "v": (3,)}
SIZE = 15
A = np.random.default_rng(7).normal(size=(SIZE, SIZE))
A = A @ A.T / SIZE
START = np.random.default_rng(8).normal(size=SIZE)


def slope(w):
    """Return the gradient at a vector."""
    return A @ w - np.sin(w)


def tree(vector):
    return {"M": vector[:12].reshape(3, 4), "v": vector[12:]}


def vector(params):
    return jnp.concatenate([params["M"].ravel(), params["v"]])


def given(step, asked=None):
    """Return the gradient function of an update; ``asked`` counts how often it is traced."""

    def at(params):
        if asked is not None:
            asked.append(1)
        w = vector(params)
        return tree(jnp.asarray(A) @ w - jnp.sin(w))

    def of_rows(params):
        return jax.tree.map(lambda g: jnp.stack([g - 1, g + 1]), at(params)), jnp.ones(2, bool)

    def logits_of_rows(params):
        return vector(params)[:6].reshape(2, 3), jnp.arange(2, dtype=jnp.int32)

    def with_term(params, term):
        def joined(params):
            return jnp.mean(term(*logits_of_rows(params)))

        return jax.tree.map(jnp.add, at(params), jax.grad(joined)(params))

    return Gradient(at, step, lambda: key(step), of_rows, logits_of_rows, with_term)


def key(step):
    return jax.random.fold_in(jax.random.key(3), step)


def followed(optimizer, steps=6):
    """Return the parameters after every update, float64 [steps, SIZE]."""
    optimizer = arrays(optimizer)

    @jax.jit
    def one(params, memory, step):
        updates, memory = optimizer.update(given(step), params, memory)
        return jax.tree.map(jnp.add, params, updates), memory

    params = jax.tree.map(jnp.asarray, tree(START))
    memory, path = optimizer.init(params), []
    for t in range(steps):
        params, memory = one(params, memory, jnp.int32(t))
        path.append(np.asarray(vector(params)))
    return np.stack(path)


def descended(rate, direction, steps=6):
    """Return the path of w <- w - rate direction(w, step)."""
    w, path = START, []
    for t in range(steps):
        w = w - rate * direction(w, t)
        path.append(w)
    return np.stack(path)
