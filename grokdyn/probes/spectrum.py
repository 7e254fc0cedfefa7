"""A probe of all eigenvalues of the Hessian at once, by stochastic Lanczos quadrature."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.curvature.lanczos import quadrature
from grokdyn.probes.base import Shapes, Variable, fits_all
from grokdyn.probes.curvature import product
from grokdyn.probes.objective import of_objective
from grokdyn.probes.over_rows import OverRows
from grokdyn.probes.view import View
from grokdyn.spec.base import field
from grokdyn.spec.rules import Count

# Which draw of the probe's key it takes.
STARTS = 6
MOMENTS = (1, 2, 3)


class HessianDensity(OverRows):
    """Spectral density of the Hessian of the training loss, by Lanczos from random starts (Ghorbani et al. 2019).

    ``density_node`` [start, ritz] and ``density_weight``, whose sum over ``ritz`` is 1: the measure of every start; the
    mean over starts approaches that of all eigenvalues, each of weight 1 / parameters. ``analysis.spectral_density``
    makes a curve with its error of them. ``density_moment`` [power]: the mean of the eigenvalues' powers 1 to 3,
    unbiased, and ``density_moment_error`` its standard error over starts. Each iteration costs about two gradients. The
    loss is that of ``Sharpness``.
    """

    fits = fits_all
    iterations: int = field(Count(2, 1000), default=30, doc="products of the Hessian with a vector, of each start")
    starts: int = field(Count(2, 10_000), default=4, doc="random starts")

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        size = sum(leaf.size for leaf in jax.tree.leaves(shapes.params))
        axes = {"start": np.arange(self.starts), "ritz": np.arange(min(self.iterations, size))}
        powers = {"power": np.asarray(MOMENTS)}
        found = {
            "density_node": Variable("Ritz value of the Hessian", dims=("start", "ritz"), coordinates=axes),
            "density_weight": Variable("weight of a Ritz value", dims=("start", "ritz"), coordinates=axes),
            "density_moment": Variable("mean power of an eigenvalue", dims=("power",), coordinates=powers),
            "density_moment_error": Variable("standard error of it", dims=("power",), coordinates=powers),
        }
        return of_objective(shapes, found)

    def measure(self, view: View) -> dict[str, jax.Array]:
        times, flat = product(view)
        keys = jax.random.split(jax.random.fold_in(view.key, STARTS), self.starts)

        def one(key: jax.Array) -> tuple[jax.Array, jax.Array]:
            return quadrature(times, key, flat.size, self.iterations, str(flat.dtype))

        nodes, weights = jax.lax.map(one, keys)
        powers = jnp.asarray(MOMENTS, jnp.float64)[:, None, None]
        moments = jnp.sum(weights * nodes**powers, axis=-1)
        return {
            "density_node": nodes,
            "density_weight": weights,
            "density_moment": jnp.mean(moments, axis=-1),
            "density_moment_error": jnp.std(moments, axis=-1, ddof=1) / jnp.sqrt(jnp.float64(self.starts)),
        }
