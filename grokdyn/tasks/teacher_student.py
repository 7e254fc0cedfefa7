"""A random network as teacher."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.spec.base import field
from grokdyn.spec.kinds import Part
from grokdyn.spec.rules import Count, Number, Optional
from grokdyn.tasks.regression import GaussianRegression

# Of the key of the noise; layers of a teacher have numbers below it.
NOISE = 2**20


class TeacherStudent(GaussianRegression):
    """Learn the outputs of a random network on x ~ N(0, input_std^2 I) (Liu et al. 2023, Omnigrok).

    Every run draws its own teacher from its split stream, with the teacher's own scales. Theirs is
    ``MLP(hidden=(100, 100), activation="tanh", bias=True)`` on 5 inputs with 5 outputs, the student the same network
    with ``init_scale = 2``. Test points carry the noise too.
    """

    teacher: Any = field(Part("model"), doc="the network that gives the targets; of real vectors", kw_only=True)
    teacher_outputs: int = field(Count(1, 10_000), default=1, doc="length of a target vector")
    input_std: float = field(Number(0, open_low=True), default=1.0, doc="standard deviation of every input entry")
    noise_std: float | None = field(
        Optional(Number(0)), default=None, doc="standard deviation of the noise on every target; none: no noise"
    )

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        yield from ((f"teacher.{name}", "a teacher is not trained") for name in ("centred", "rescaled", "linearised"))

    def conflicts(self, shapes: Any) -> Any:
        for name, came, allowed in self.teacher.conflicts(shapes):
            yield f"teacher.{name}", came, allowed

    @property
    def outputs(self) -> int:
        return self.teacher_outputs

    def scaled(self, x: jax.Array) -> jax.Array:
        return jnp.asarray(self.input_std, x.dtype) * x

    def rule(self, key: jax.Array) -> Any:
        return self.teacher.start(jax.random.split(key)[1], self.signature(), jnp.float64)

    def targets(self, rule: Any, key: jax.Array, x: jax.Array) -> jax.Array:
        state = self.teacher.initial_state(self.signature(), jnp.float64)
        y = self.teacher.forward(rule, x, state=state).logits
        if self.noise_std is None:
            return y
        return y + self.noise_std * jax.random.normal(jax.random.fold_in(key, NOISE), y.shape, jnp.float64)
