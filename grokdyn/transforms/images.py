"""Images moved and mirrored at random."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.rules import Count, Number
from grokdyn.tasks.shapes import Conflicts, Shapes
from grokdyn.tasks.signature import Images
from grokdyn.transforms.base import Batch, Transform


class Shifts(Transform):
    """Move every image by a random whole number of pixels in both directions; what comes in is 0."""

    pixels: int = field(Count(1, 1000), default=1, doc="largest distance in a direction")

    def conflicts(self, shapes: Shapes) -> Conflicts:
        return needs_images(shapes)

    def apply(self, batch: Batch, key: jax.Array, step: jax.Array) -> Batch:
        x, far = batch.inputs, self.pixels
        padded = jnp.pad(x, ((0, 0), (far, far), (far, far), (0, 0)))
        starts = jax.random.randint(key, (x.shape[0], 2), 0, 2 * far + 1, jnp.int32)

        def cut(image: jax.Array, start: jax.Array) -> jax.Array:
            return jax.lax.dynamic_slice(image, (start[0], start[1], jnp.int32(0)), x.shape[1:])

        return batch._replace(inputs=jax.vmap(cut)(padded, starts))


class Flips(Transform):
    """Mirror images from left to right: x'[i, j] = x[i, W - 1 - j] with a probability, else x."""

    probability: float = field(Number(0, 1), default=0.5, doc="of an image to be mirrored")

    def conflicts(self, shapes: Shapes) -> Conflicts:
        return needs_images(shapes)

    def apply(self, batch: Batch, key: jax.Array, step: jax.Array) -> Batch:
        x = batch.inputs
        which = jax.random.uniform(key, (x.shape[0],), jnp.float64) < self.probability
        return batch._replace(inputs=jnp.where(which[:, None, None, None], x[:, :, ::-1], x))


def needs_images(shapes: Shapes) -> Conflicts:
    """Yield a conflict where inputs are no images."""
    inputs = shapes.signature.inputs
    if not isinstance(inputs, Images):
        yield "kind", Words(type(inputs).__name__.lower()), "a task of images, such as mnist with images = true"
