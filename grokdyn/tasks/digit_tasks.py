"""Small real digits as several tasks that are learned one after another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.spec.base import field
from grokdyn.spec.errors import SpecError
from grokdyn.spec.rules import Choice, Count, Number
from grokdyn.tasks.base import Signature, Table, Task
from grokdyn.tasks.digits import BRIGHTEST, DIGITS, FIX, MISSING, ROWS, SIDE, source
from grokdyn.tasks.packaged import read_images
from grokdyn.tasks.parts import ORDINALS, UNSEEN
from grokdyn.tasks.signature import Classes, Vectors

NAMES = ORDINALS[:5]


class DigitTasks(Task):
    """Learn digits of 8 x 8 pixels in several tasks, the parts ``first``, ``second``, ..., with ``part_sequence``.

    ``rotation``: the k-th task, k = 0, 1, ..., shows the images turned by k times ``angle`` (rotated MNIST, Lopez-Paz &
    Ranzato 2017), between pixels by bilinear interpolation, nothing outside. ``permutation``: with their pixels in an
    order of each task's own, the first one's as they are (permuted MNIST, Goodfellow et al. 2013). ``classes``: those
    of the digits k n .. k n + n - 1 alone, n = 10 / ``tasks`` (split MNIST, Zenke et al. 2017), one readout for all.

    Every run draws from its split stream which images train, the same for all tasks that show the same ones: ``images``
    of each, all of which train, and ``unseen`` others, the part ``first_unseen``, ..., that only test. Together they
    are the test rows.
    """

    tasks: int = field(Count(2, len(NAMES)), default=2, doc="number of tasks")
    by: str = field(Choice(("rotation", "permutation", "classes")), default="rotation", doc="what tells tasks apart")
    angle: float = field(Number(), default=80.0, doc="degrees from one task to the next, counter-clockwise")
    images: int = field(Count(1, ROWS), default=1000, doc="images of each task that train")
    unseen: int = field(Count(1, ROWS), default=500, doc="images of each task that test")

    drawn = True

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if source() is None:
            yield "kind", MISSING, FIX
            return
        if self.by == "classes" and DIGITS % self.tasks:
            yield "tasks", self.tasks, f"a divisor of {DIGITS}, the number of digits"
            return
        there = int(self.shown(pictures().labels).sum(1).min())
        if self.images + self.unseen > there:
            yield (
                "unseen",
                self.unseen,
                f"at most {there - self.images}: a task has {there} images, {self.images} train",
            )

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        for name, why in super().ignored(steps):
            if name != "train_fraction":
                yield name, why
        yield from ((name, "parts always train or only test") for name in ("train_fraction", "train_points"))
        if self.by != "rotation":
            yield "angle", f'by is "{self.by}"'

    def signature(self) -> Signature:
        names = NAMES[: self.tasks]
        parts = {**dict.fromkeys(names, "train"), **{name + UNSEEN: "test" for name in names}}
        return Signature(Vectors(SIDE**2), Classes(DIGITS), self.tasks * (self.images + self.unseen), parts)

    def membership(self) -> np.ndarray:
        names = [name + end for name in NAMES[: self.tasks] for end in ("", UNSEEN)]
        return np.repeat(names, [self.images, self.unseen] * self.tasks)

    def shown(self, labels: np.ndarray) -> np.ndarray:
        """Return which images each task shows, bool [tasks, images]."""
        if self.by != "classes":
            return np.ones((self.tasks, len(labels)), bool)
        return labels[None] // (DIGITS // self.tasks) == np.arange(self.tasks)[:, None]

    def draw(self, key: jax.Array) -> Table:
        order_key, pixel_key = jax.random.split(key)
        all_x, all_y = pictures()
        shown, scores = self.shown(all_y), jax.random.uniform(order_key, (ROWS,), jnp.float32)
        inputs, labels = [], []
        for k in range(self.tasks):
            # Images that the task does not show come last.
            of = jnp.argsort(jnp.where(shown[k], scores, 2.0))[: self.images + self.unseen]
            inputs.append(self.seen(jnp.asarray(all_x)[of], k, jax.random.fold_in(pixel_key, k)))
            labels.append(jnp.asarray(all_y)[of])
        return Table(jnp.concatenate(inputs), jnp.concatenate(labels))

    def seen(self, x: jax.Array, k: int, key: jax.Array) -> jax.Array:
        """Return images [rows, pixels] as the k-th task shows them."""
        if self.by == "rotation":
            turn = rotation(k * jnp.asarray(self.angle, jnp.float64)).astype(x.dtype)
            return jnp.dot(x, turn.T, precision="highest")
        if self.by == "permutation" and k > 0:
            return x[:, jax.random.permutation(key, SIDE**2)]
        return x


def pictures() -> Table:
    """Return all images [rows, pixels] with their digits.

    Raises:
        SpecError: if the file is missing or is not what it should be.
    """
    path = source()
    if path is None:
        raise SpecError("task.kind", MISSING, FIX)
    return read_images(path, ROWS, SIDE**2, BRIGHTEST, FIX)


def rotation(degrees: jax.Array) -> jax.Array:
    """Return what turns images about their centre, counter-clockwise as they are drawn, float64 [pixels, pixels].

    Pixel (i, j), row and column, shows the place (u, v) of the image where (u, v) - c is (i, j) - c turned back, c the
    centre; between pixels it is interpolated, with the weight (1 - |u - k|)+ (1 - |v - l|)+ of pixel (k, l).
    """
    turned = degrees * (jnp.pi / 180)
    at = jnp.arange(SIDE, dtype=jnp.float64)
    i, j = (x.ravel() - (SIDE - 1) / 2 for x in jnp.meshgrid(at, at, indexing="ij"))
    u, v = jnp.cos(turned) * i + jnp.sin(turned) * j, jnp.cos(turned) * j - jnp.sin(turned) * i
    rows, columns = (jnp.maximum(0.0, 1 - jnp.abs(x[:, None] + (SIDE - 1) / 2 - at)) for x in (u, v))
    return (rows[:, :, None] * columns[:, None, :]).reshape(SIDE**2, SIDE**2)
