"""A periodic function at equispaced points, from harmonics whose sizes are power laws."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.spec.base import field
from grokdyn.spec.rules import Count, Number
from grokdyn.tasks.base import Signature, Table, Task
from grokdyn.tasks.signature import Reals, Vectors


class Harmonics(Task):
    """Learn f(t) = c_0 + 2 sum_l |c_l| cos(l t + phase_l), |c_l|^2 = l^-(target_exponent + 1), c_0 = 1.

    An input is sqrt(lam_0), sqrt(2 lam_l) cos(l t), sqrt(2 lam_l) sin(l t) for l = 1 .. ``frequencies``, with lam_l =
    l^-``exponent``, lam_0 = 1: a linear student is regression with the kernel lam_0 + 2 sum_l lam_l cos l(t - t'), the
    circle model of Velikanov et al. (2024, arXiv 2403.11696). Train points are equispaced, with noise of standard
    deviation ``noise_std``; test points are equispaced too, without noise, and as many as the mean over the whole
    circle needs. Every run draws where both begin, the phases and the noise from its split stream. ``theory.circle``
    has means over runs in closed form.
    """

    points: int = field(Count(1, 100_000), default=64, doc="N, train points")
    frequencies: int = field(Count(1, 10_000), default=256, doc="the highest frequency of inputs and target")
    exponent: float = field(Number(), default=1.5, doc="how fast the eigenvalues of the kernel fall")
    target_exponent: float = field(Number(), default=1.0, doc="how fast the target's power falls, less 1")
    noise_std: float = field(Number(0), default=0.5, doc="standard deviation of the noise on every train target")

    drawn = True

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        for name, why in super().ignored(steps):
            if name != "train_fraction":
                yield name, why
        yield from ((name, "parts always train or only test") for name in ("train_fraction", "train_points"))

    @property
    def unseen(self) -> int:
        """Test points: the square of a difference of both has twice the highest frequency."""
        return 2 * self.frequencies + 1

    def signature(self) -> Signature:
        parts = {"train": "train", "test": "test"}
        return Signature(Vectors(2 * self.frequencies + 1), Reals(1), self.points + self.unseen, parts)

    def membership(self) -> np.ndarray:
        return np.repeat(["train", "test"], [self.points, self.unseen])

    def draw(self, key: jax.Array) -> Table:
        begin_key, phase_key, noise_key = jax.random.split(key, 3)
        begin = jax.random.uniform(begin_key, (2,), jnp.float64)
        t = jnp.concatenate(
            [(jnp.arange(n) + shift) / n for n, shift in zip((self.points, self.unseen), begin, strict=True)]
        )
        l = jnp.arange(1, self.frequencies + 1)
        # Whole turns are left out before they cost digits.
        turns = jnp.mod(t[:, None] * l, 1.0)
        phase = jax.random.uniform(phase_key, l.shape, jnp.float64)
        falls = l.astype(jnp.float64)
        size = jnp.sqrt(2 * falls ** -jnp.asarray(self.exponent, jnp.float64))
        power = 2 * falls ** (-(jnp.asarray(self.target_exponent, jnp.float64) + 1) / 2)
        x = [jnp.ones((len(t), 1)), size * jnp.cos(2 * jnp.pi * turns), size * jnp.sin(2 * jnp.pi * turns)]
        y = 1 + jnp.cos(2 * jnp.pi * (turns + phase)) @ power
        noise = self.noise_std * jax.random.normal(noise_key, (self.points,), jnp.float64)
        y = y.at[: self.points].add(noise)
        return Table(jnp.concatenate(x, axis=1).astype(jnp.float32), y[:, None].astype(jnp.float32))
