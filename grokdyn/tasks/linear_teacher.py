"""A noisy linear teacher."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from grokdyn.spec.base import field
from grokdyn.spec.rules import Number
from grokdyn.tasks.regression import GaussianRegression


class LinearTeacher(GaussianRegression):
    """Learn y = w . x + e, x ~ N(0, I/D), w ~ N(0, teacher_std^2 I), e ~ N(0, noise_std^2) (Advani & Saxe 2017).

    Test points carry noise too: the best test error is noise_std^2. ``theory.linear`` has the exact learning curves
    of a linear student under gradient descent.
    """

    teacher_std: float = field(Number(0), default=1.0, doc="standard deviation of the teacher's weights")
    noise_std: float = field(Number(0), default=0.0, doc="standard deviation of the noise on every target")

    def rule(self, key: jax.Array) -> jax.Array:
        w_key, _ = jax.random.split(jax.random.split(key)[1])
        return jax.random.normal(w_key, (self.dimension,), jnp.float64)

    def targets(self, rule: jax.Array, key: jax.Array, x: jax.Array) -> jax.Array:
        _, e_key = jax.random.split(key)
        e = jax.random.normal(e_key, (x.shape[0],), jnp.float64)
        return self.teacher_std * (x @ rule) + self.noise_std * e
