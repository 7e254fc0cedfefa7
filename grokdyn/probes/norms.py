"""Sizes of parameters, gradients and updates: L2 norms, global and per tensor."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.probes.base import Probe, Shapes, Variable, fits_all
from grokdyn.probes.objective import of_objective
from grokdyn.probes.over_rows import OverRows
from grokdyn.probes.view import View


def tensor_names(tree: Any) -> list[str]:
    """Return the names of the tensors of a parameter tree, in the order in which JAX flattens it."""
    paths = jax.tree_util.tree_leaves_with_path(tree)
    return [".".join(str(getattr(key, "key", key)) for key in path) for path, _ in paths]


def norms(tree: Any) -> jax.Array:
    """Return the L2 norm of every tensor [tensor], summed in float64."""
    return jnp.sqrt(jnp.stack([jnp.sum(jnp.square(leaf.astype(jnp.float64))) for leaf in jax.tree.leaves(tree)]))


def with_tensors(shapes: Shapes, name: str, long_name: str) -> dict[str, Variable]:
    """Return a variable over all tensors, and ``name_per_tensor`` with one value for each."""
    names = {"tensor": tensor_names(shapes.params)}
    return {
        name: Variable(long_name),
        f"{name}_per_tensor": Variable(f"{long_name} per tensor", dims=("tensor",), coordinates=names),
    }


class NormProbe(Probe):
    """Base: the L2 norm of a tree, sqrt(sum of squares), over all tensors and per tensor."""

    conflicts = fits_all
    word = ""
    long_name = ""

    def tree(self, view: View) -> Any:
        raise NotImplementedError

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        return with_tensors(shapes, self.word, self.long_name)

    def measure(self, view: View) -> dict[str, jax.Array]:
        per_tensor = norms(self.tree(view))
        return {self.word: jnp.sqrt(jnp.sum(jnp.square(per_tensor))), f"{self.word}_per_tensor": per_tensor}


class WeightNorm(NormProbe):
    """L2 norm of the parameters."""

    word, long_name = "weight_norm", "weight norm"

    def tree(self, view: View) -> Any:
        return view.params


class GradientNorm(OverRows, NormProbe):
    """L2 norm of the training gradient over all train rows, before clipping and without decay.

    Of the loss that trains: the sum over train rows of ``MSE(reduction="sum")``, divided by output_scale^2 where the
    model is ``rescaled``. The name says so. With ``rows`` over these instead.
    """

    fits = fits_all
    word, long_name = "gradient_norm", "gradient norm"

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        return of_objective(shapes, super().variables(shapes))

    def tree(self, view: View) -> Any:
        return view.gradient


class UpdateNorm(NormProbe):
    """L2 norm of what the optimizer would add to the parameters at this step."""

    word, long_name = "update_norm", "update norm"

    def tree(self, view: View) -> Any:
        return view.update


class DistanceFromInit(NormProbe):
    """L2 distance of the parameters from those of step 0."""

    needs_initial_params = True
    word, long_name = "distance_from_init", "distance from initialisation"

    def tree(self, view: View) -> Any:
        return jax.tree.map(jnp.subtract, view.params, view.initial_params)
