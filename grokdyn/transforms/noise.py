"""Noise drawn anew for every update."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.rules import Integer, Number, Optional
from grokdyn.tasks.shapes import Conflicts, Shapes, needs_one_answer
from grokdyn.transforms.base import Batch, Transform, during, needs_reals


class InputNoise(Transform):
    """Add noise N(0, std^2) to every entry of an input, drawn anew for every update."""

    std: float = field(Number(0), default=0.1, doc="standard deviation")
    until: int | None = field(Optional(Integer()), default=None, doc="first step without; nothing: never")

    def conflicts(self, shapes: Shapes) -> Conflicts:
        return needs_reals(shapes, "noise")

    def apply(self, batch: Batch, key: jax.Array, step: jax.Array) -> Batch:
        x = batch.inputs
        std = jnp.where(during(step, 0, self.until), jnp.asarray(self.std, jnp.float64), 0.0).astype(x.dtype)
        return batch._replace(inputs=x + std * jax.random.normal(key, x.shape, x.dtype))


class RedrawnLabels(Transform):
    """Replace labels by any class, anew for every update: y' = u with a probability, u uniform over classes, else y.

    Unlike the task's ``label_noise``, which corrupts the same rows for good, it has nothing to be memorised.
    """

    probability: float = field(Number(0, 1), default=0.1, doc="of a label to be replaced")
    until: int | None = field(Optional(Integer()), default=None, doc="first step without; nothing: never")

    def conflicts(self, shapes: Shapes) -> Conflicts:
        yield from needs_one_answer(shapes, "a transform")
        if type(shapes.signature.targets).__name__ != "Classes":
            yield "kind", Words("labels of real targets"), "a task of classes"

    def apply(self, batch: Batch, key: jax.Array, step: jax.Array) -> Batch:
        which_key, label_key = jax.random.split(key)
        n = batch.weights.shape[0]
        probability = jnp.where(during(step, 0, self.until), jnp.asarray(self.probability, jnp.float64), 0.0)
        which = jax.random.uniform(which_key, (n,), jnp.float64) < probability
        classes = jax.random.randint(label_key, (n,), 0, batch.outputs, jnp.int32)
        if batch.targets.ndim == 1:
            return batch._replace(targets=jnp.where(which, classes, batch.targets))
        shares = jax.nn.one_hot(classes, batch.outputs, dtype=batch.targets.dtype)
        return batch._replace(targets=jnp.where(which[:, None], shares, batch.targets))
