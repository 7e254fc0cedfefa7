"""A harmonic on the unit circle."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from grokdyn.spec.base import field
from grokdyn.spec.rules import Count, Integer, Number
from grokdyn.tasks.base import Signature, Table, Task
from grokdyn.tasks.signature import Reals, Vectors


class Circle(Task):
    """Learn y = amplitude * sin(k theta) + e at x = (cos theta, sin theta), e ~ N(0, noise_std^2).

    Every run draws its own angles, uniformly, from its split stream. The default, y = sin(2 theta) / 2, is the product
    x_1 x_2 of Jacot et al. (2018).
    """

    points: int = field(Count(2, 1_000_000), default=50, doc="inputs drawn, train and test together")
    harmonic: int = field(Integer(0, 10_000), default=2, doc="k, periods of the target around the circle")
    amplitude: float = field(Number(), default=0.5, doc="size of the target")
    noise_std: float = field(Number(0), default=0.0, doc="standard deviation of the noise on every target")

    drawn = True

    def signature(self) -> Signature:
        return Signature(Vectors(2), Reals(1), self.points)

    def draw(self, key: jax.Array) -> Table:
        angle_key, noise_key = jax.random.split(key)
        angle = jax.random.uniform(angle_key, (self.points,), jnp.float64, 0, 2 * jnp.pi)
        noise = jax.random.normal(noise_key, (self.points,), jnp.float64)
        y = self.amplitude * jnp.sin(self.harmonic * angle) + self.noise_std * noise
        x = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)
        return Table(x.astype(jnp.float32), y[:, None].astype(jnp.float32))
