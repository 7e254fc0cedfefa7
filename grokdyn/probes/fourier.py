"""The Fourier spectrum of embeddings: power by frequency, Gini coefficient, inverse participation ratio, circles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.probes.base import Probe, Shapes, Variable
from grokdyn.probes.residues import (
    EMBEDDING,
    UNEMBEDDING,
    Residues,
    grid_conflicts,
    residues_of,
    side_conflicts,
    sides_of,
)
from grokdyn.probes.view import View
from grokdyn.spec.base import field
from grokdyn.spec.rules import Choice, Count, Number


def basis(p: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the orthonormal cosines and sines [p//2 + 1, p] of Z_p, float64; a sine that vanishes is a row of zeros.

    Rows k: sqrt(2/p) cos(2 pi k x / p) and sqrt(2/p) sin(...); for k = 0, and p/2 where p is even, 1/sqrt(p) in place
    of sqrt(2/p).
    """
    k, x = np.arange(p // 2 + 1), np.arange(p)
    # Angles are reduced exactly, so that large products lose nothing.
    angle = 2 * np.pi * (np.outer(k, x) % p) / p
    alone = 2 * k % p == 0
    size = np.where(alone, np.sqrt(1 / p), np.sqrt(2 / p))[:, None]
    return size * np.cos(angle), np.where(alone[:, None], 0.0, size * np.sin(angle))


def components(X: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the cosine and sine components [p//2 + 1, units] of vectors over the residues [p, units], in float64."""
    cosines, sines = basis(X.shape[0])
    X = X.astype(jnp.float64)
    return jnp.asarray(cosines) @ X, jnp.asarray(sines) @ X


class SideProbe(Probe):
    """Base of probes of the residues' vectors: W_0 of an MLP holds those of a and b, its last W those of c."""

    embedding: str | None = EMBEDDING
    unembedding: str | None = UNEMBEDDING

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        yield from grid_conflicts(shapes)
        yield from side_conflicts(shapes, self.embedding, self.unembedding)

    def names(self, shapes: Shapes) -> tuple[Residues, list[str]]:
        """Return the grid and the names of the sides."""
        grid = residues_of(shapes.experiment.task)
        assert grid is not None, "conflicts come first"
        return grid, list(sides_of(shapes.params, grid, self.embedding, self.unembedding))

    def vectors(self, view: View) -> list[jax.Array]:
        """Return the vectors [p, units] of every side."""
        grid = residues_of(view.experiment.task)
        assert grid is not None
        sides = sides_of(view.params, grid, self.embedding, self.unembedding)
        return [side.of(view.params, grid.p) for side in sides.values()]


class FourierPower(SideProbe):
    """Power of the residues' vectors at every frequency, and its concentration (Nanda et al. 2023).

    ``fourier_power``: sum over units of the squared cosine and sine components in an orthonormal basis, so that the
    sum over frequencies is the squared norm of the side's weights. ``fourier_gini``: the Gini coefficient of the p
    squared norms of single components (constant, cosines, sines), 0 if all are equal, 1 - 1/p if one is all.
    """

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        grid, sides = self.names(shapes)
        axes = {"side": sides, "frequency": grid.frequencies}
        return {
            "fourier_power": Variable("power of the weights", dims=("side", "frequency"), coordinates=axes),
            "fourier_gini": Variable("Gini coefficient of Fourier components", dims=("side",), coordinates=axes),
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        powers, ginis = [], []
        for X in self.vectors(view):
            cosine, sine = (jnp.sum(jnp.square(part), axis=1) for part in components(X))
            powers.append(cosine + sine)
            there = np.any(basis(X.shape[0])[1] != 0, axis=1)
            ginis.append(gini(jnp.concatenate([cosine, sine[there]])))
        return {"fourier_power": jnp.stack(powers), "fourier_gini": jnp.stack(ginis)}


def gini(values: jax.Array) -> jax.Array:
    """Return sum_ij |x_i - x_j| / (2 n^2 mean x) of non-negative values; nan where all are 0."""
    n = values.shape[0]
    ranks = jnp.arange(1, n + 1, dtype=values.dtype)
    return jnp.sum((2 * ranks - n - 1) * jnp.sort(values)) / (n * jnp.sum(values))


class InverseParticipationRatio(SideProbe):
    """Inverse participation ratio of the spectrum of weights, sum_k (|u_k|^2 / sum |u|^2)^r, a mean over units.

    u is the discrete Fourier transform over the residues of one unit's weights. ``rfft``: frequencies 0 to p//2, so
    that a pure cosine has 1 (code of Doshi et al. 2023); ``fft``: all p, where it has 1/2 and noise about 1/p (the
    range in Gromov 2023). ``ipr`` is the mean over sides, which for a network of one hidden layer is the mean over
    neurons of that of their rows and column. Units whose weights are all 0 do not count.
    """

    r: float = field(Number(1, open_low=True), default=2.0, doc="the power")
    transform: str = field(Choice(("rfft", "fft")), default="rfft", doc="frequencies 0 to p//2, or all p")

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        name, axes = "inverse participation ratio", {"side": self.names(shapes)[1]}
        return {"ipr": Variable(name), "ipr_per_side": Variable(name, dims=("side",), coordinates=axes)}

    def measure(self, view: View) -> dict[str, jax.Array]:
        found = jnp.stack([mean_ipr(X, self.r, self.transform) for X in self.vectors(view)])
        return {"ipr": jnp.mean(found), "ipr_per_side": found}


def mean_ipr(X: jax.Array, r: Any, transform: str) -> jax.Array:
    """Return the mean over units, but for those whose weights are all 0, of the ratio of [p, units]."""
    ratios = unit_iprs(X, r, transform)
    return jnp.sum(ratios) / jnp.sum(ratios > 0)


def unit_iprs(X: jax.Array, r: Any, transform: str) -> jax.Array:
    """Return the inverse participation ratio of every unit of [p, units]; 0 of one whose weights are all 0."""
    cosine, sine = components(X)
    # |u_k|^2 up to a factor: frequencies that share their power with p - k have half of it.
    paired = jnp.asarray(np.any(basis(X.shape[0])[1] != 0, axis=1)[:, None])
    power = (jnp.square(cosine) + jnp.square(sine)) * jnp.where(paired, 0.5, 1.0)
    weight = jnp.where(paired, 2.0, 1.0) if transform == "fft" else jnp.ones(())
    total = jnp.sum(weight * power, axis=0)
    alive = total > 0
    ratios = jnp.sum(weight * jnp.power(power / jnp.where(alive, total, 1), r), axis=0)
    return jnp.where(alive, ratios, 0)


class Circles(SideProbe):
    """Residues in the planes of their strongest frequencies, to draw the circles of an embedding.

    For each side the ``planes`` frequencies above 0 of largest power: ``circle_frequency``, ``circle_share`` (of the
    power above frequency 0), and ``circle``, the vectors X[x] along u/|u| for u the cosine and the sine component. A
    plane without power has share 0 and no frequency, nan.
    """

    planes: int = field(Count(1, 1000), default=4, doc="how many frequencies")

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        grid, sides = self.names(shapes)
        axes = {"side": sides, "plane": np.arange(self.shown(grid)), "residue": np.arange(grid.p)}
        axes["component"] = ["cos", "sin"]
        by_plane = ("side", "plane")
        return {
            "circle": Variable("weight", dims=(*by_plane, "residue", "component"), coordinates=axes),
            "circle_frequency": Variable("frequency", dims=by_plane, coordinates=axes),
            "circle_share": Variable("share of power", dims=by_plane, coordinates=axes),
        }

    def shown(self, grid: Residues) -> int:
        return min(self.planes, len(grid.frequencies) - 1)

    def measure(self, view: View) -> dict[str, jax.Array]:
        grid = residues_of(view.experiment.task)
        assert grid is not None
        found = [circles(X, self.shown(grid)) for X in self.vectors(view)]
        names = ("circle", "circle_frequency", "circle_share")
        return dict(zip(names, (jnp.stack(parts) for parts in zip(*found, strict=True)), strict=True))


def circles(X: jax.Array, planes: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return the points [planes, p, 2], frequencies and shares of the strongest planes of [p, units]."""
    parts = jnp.stack(components(X))[:, 1:]
    power = jnp.sum(jnp.square(parts), axis=(0, 2))
    share, which = jax.lax.top_k(power / jnp.where(jnp.any(power > 0), jnp.sum(power), 1), planes)
    u = parts[:, which]
    size = jnp.linalg.norm(u, axis=-1, keepdims=True)
    u = u / jnp.where(size > 0, size, 1)
    frequency = jnp.where(share > 0, (which + 1).astype(jnp.float64), jnp.nan)
    return jnp.einsum("xu,cku->kxc", X.astype(jnp.float64), u), frequency, share
