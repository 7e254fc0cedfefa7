"""Probes of the Hessian of what is trained, over all train rows and without dropout.

Its gradient is the one that training follows: where ``objective`` has words for it, a multiple of the train loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from grokdyn.curvature.lanczos import hutchinson, lanczos
from grokdyn.optim.base import AnyOptimizer
from grokdyn.probes.base import Probe, Shapes, Variable, fits_all
from grokdyn.probes.objective import of_objective
from grokdyn.probes.over_rows import OverRows
from grokdyn.probes.view import View
from grokdyn.spec.base import field
from grokdyn.spec.kinds import kind_of
from grokdyn.spec.rules import Count

# Which draws of the probe's key a probe takes.
RITZ, SIGNS = 0, 1


def product(view: View) -> tuple[Callable[[jax.Array], jax.Array], jax.Array]:
    """Return v -> H v on flat vectors, and the parameters as one."""
    flat, unravel = ravel_pytree(view.params)
    # The gradient itself is computed once for all products.
    _, tangent = jax.linearize(view.gradient_at, view.params)
    return lambda v: ravel_pytree(tangent(unravel(v)))[0], flat


class RitzProbe(Probe):
    """Base: probes by Lanczos. Each iteration costs about two gradients; those of H are shared between probes."""

    conflicts = fits_all
    iterations: int = field(Count(2, 1000), default=10, doc="products of the Hessian with a vector")

    def ritz_values(self, view: View, scale: jax.Array | None = None, shift: Any = None) -> jax.Array:
        """Return the Ritz values of H, or of S (H + shift) S for a diagonal S given as a flat vector, increasing."""
        if scale is None:
            return ritz_values(view, self.iterations)
        times, flat = product(view)
        more = jnp.zeros((), flat.dtype) if shift is None else jnp.asarray(shift, flat.dtype)

        def scaled(v: jax.Array) -> jax.Array:
            return scale * (times(scale * v) + more * (scale * v))

        key = jax.random.fold_in(view.key, RITZ)
        return lanczos(scaled, key, flat.size, self.iterations, str(flat.dtype))


def ritz_values(view: View, iterations: int) -> jax.Array:
    """Return the Ritz values of H, increasing, computed once a record."""
    times, flat = product(view)
    key = jax.random.fold_in(view.key, RITZ)
    return view.once(("ritz", iterations), lambda: lanczos(times, key, flat.size, iterations, str(flat.dtype)))


class Sharpness(OverRows, RitzProbe):
    """Extreme eigenvalues of the Hessian of the training loss, by Lanczos.

    ``sharpness``: the largest, ``hessian_lowest``: the lowest. Both are approached from inside over the iterations and
    exact after as many as there are parameters. The loss is the one whose gradient trains: the sum over train rows of
    ``MSE(reduction="sum")``, divided by output_scale^2 where the model is ``rescaled``. The names say so. With ``rows``
    of the loss over these instead.
    """

    fits = fits_all

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        found = {
            "sharpness": Variable("largest eigenvalue of the Hessian"),
            "hessian_lowest": Variable("lowest eigenvalue of the Hessian"),
        }
        return of_objective(shapes, found)

    def measure(self, view: View) -> dict[str, jax.Array]:
        values = self.ritz_values(view)
        return {"sharpness": values[-1], "hessian_lowest": values[0]}


class EdgeOfStability(RitzProbe):
    """Sharpness over the largest that the optimizer in use can follow on a quadratic: unstable above 1.

    Gradient descent of rate r: r l / 2; with momentum b: r l / (2 + 2b), by Nesterov r l (1 + 2b) / (2 + 2b) (Cohen et
    al. 2021); a coupled decay c takes c off the bound. Adam: l / bound with bound = (2 + 2 b1) / ((1 - b1) r), l the
    largest eigenvalue of P^-1/2 (H + c) P^-1/2, P = sqrt(v_hat) + eps its present preconditioner (Cohen et al. 2022)
    and c its coupled decay; nan at step 0, where there is no P. AdamW's decay d makes the bound
    (1 + b1) (2 - r d) / ((1 - b1) r). ``preconditioned_sharpness`` is that l, for the others the sharpness. The ratio
    is infinite where the decay alone is beyond what the optimizer can follow. H is of the loss as in ``Sharpness``.
    """

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        optimizer = shapes.experiment.optimizer
        if type(optimizer).largest_curvature is AnyOptimizer.largest_curvature:
            yield "kind", kind_of(self), f"another probe: no bound is known for {kind_of(optimizer)}"

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        found = {"preconditioned_sharpness": Variable("largest eigenvalue of the preconditioned Hessian")}
        return of_objective(shapes, found) | {"stability_ratio": Variable("sharpness over its bound")}

    def measure(self, view: View) -> dict[str, jax.Array]:
        optimizer, state = view.experiment.optimizer, view.optimizer_state
        P = optimizer.preconditioner(state)
        scale = None if P is None else inverse_root(ravel_pytree(P)[0])
        values = self.ritz_values(view, scale, optimizer.coupled())
        bound = optimizer.largest_curvature(view.step)
        ratio = jnp.where(bound <= 0, jnp.inf, values[-1] / jnp.where(bound <= 0, 1, bound))
        return {"preconditioned_sharpness": values[-1], "stability_ratio": ratio}


def inverse_root(P: jax.Array) -> jax.Array:
    """Return P^-1/2; 0 where P is 0, as there Adam without eps moves nothing; nan stays nan."""
    return jnp.where(P == 0, jnp.zeros((), P.dtype), jnp.reciprocal(jnp.sqrt(P)))


class HessianTrace(OverRows):
    """Trace of the Hessian of the training loss, by Hutchinson's estimate: the mean of v . H v over random signs v.

    ``hessian_trace_error`` is its standard error. Each sample costs about two gradients. Of the loss as ``Sharpness``.
    """

    fits = fits_all
    samples: int = field(Count(2, 100_000), default=16, doc="random vectors")

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        found = {
            "hessian_trace": Variable("trace of the Hessian"),
            "hessian_trace_error": Variable("standard error of the trace of the Hessian"),
        }
        return of_objective(shapes, found)

    def measure(self, view: View) -> dict[str, jax.Array]:
        times, flat = product(view)
        key = jax.random.fold_in(view.key, SIGNS)
        trace, error = hutchinson(times, key, flat.size, self.samples, str(flat.dtype))
        return {"hessian_trace": trace, "hessian_trace_error": error}
