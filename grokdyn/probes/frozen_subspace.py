"""Directions of the weights in which the train rows teach nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.probes.base import Probe, Shapes, Variable
from grokdyn.probes.norms import tensor_names
from grokdyn.probes.view import View, mean
from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.patterns import Pattern, matches
from grokdyn.tasks.shapes import needs_rows_alone

# Entries of a run's Jacobian, in float64.
MOST_ENTRIES = 2**23
# An eigenvalue below this share of the largest is rounding.
ROUNDING = 1e-10


class FrozenSubspace(Probe):
    """The part of the weights that no gradient on the train rows can move (Advani & Saxe 2017).

    J [n outputs, weights] is the derivative of the n train rows' logits by the weights w of the tensors that ``match``,
    in float64; a gradient is J^T g whatever the targets are. The part of w beyond the rows of J, w_0 = w - J^+ J w, is
    frozen: for good where logits are linear in w, to first order else. ``learnable_rank`` is the rank of J,
    ``frozen_norm`` |w_0|, ``frozen_share`` |w_0|^2 / |w|^2, ``least_eigenvalue`` the smallest of J J^T / n that is not
    0, and ``test_loss_without_frozen`` the test loss at w - w_0. Eigenvalues below 1e-10 of the largest count as 0.
    """

    match: str = field(Pattern(), default="*", doc="the tensors that train: a name, or a pattern such as 'W_*'")

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        yield from super().conflicts(shapes)
        yield from needs_rows_alone(shapes)
        chosen = self.of(shapes.params)
        if not chosen:
            allowed = f"a pattern of tensors of this model: {', '.join(tensor_names(shapes.params))}"
            yield "match", self.match, allowed
        entries = shapes.n_train[1] * shapes.signature.outputs * sum(leaf.size for leaf in chosen.values())
        if entries > MOST_ENTRIES:
            came = Words(f"{entries} train rows times outputs times weights")
            yield "kind", came, f"at most {MOST_ENTRIES}; fewer of them, or a match of fewer tensors"

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        return {
            "learnable_rank": Variable("rank of the Jacobian on train rows"),
            "frozen_norm": Variable("norm of the frozen part of the weights"),
            "frozen_share": Variable("frozen share of the squared norm of the weights"),
            "least_eigenvalue": Variable("least eigenvalue of the tangent kernel over n that is not 0"),
            "test_loss_without_frozen": Variable("test loss without the frozen part of the weights", part="test"),
        }

    def of(self, params: Any) -> dict[str, Any]:
        """Return the tensors that match by name."""
        named = zip(tensor_names(params), jax.tree.leaves(params), strict=True)
        return {name: leaf for name, leaf in named if matches(name, self.match)}

    def measure(self, view: View) -> dict[str, jax.Array]:
        chosen = self.of(view.params)
        J, w = self.jacobian(view), flat(chosen).astype(jnp.float64)
        values, vectors = jnp.linalg.eigh(J @ J.T)
        real = values > ROUNDING * values[-1]
        learned = J.T @ (vectors @ jnp.where(real, vectors.T @ (J @ w) / jnp.where(real, values, 1), 0))
        frozen = w - learned
        without = replaced(view.params, pieces_of(learned, chosen))
        losses = view.losses_at(without, view.inputs, view.labels)
        return {
            "learnable_rank": jnp.sum(real).astype(jnp.float64),
            "frozen_norm": jnp.linalg.norm(frozen),
            "frozen_share": jnp.sum(jnp.square(frozen)) / jnp.sum(jnp.square(w)),
            "least_eigenvalue": jnp.min(values, where=real, initial=jnp.inf) / jnp.sum(view.rows.counts),
            "test_loss_without_frozen": mean(losses, view.test),
        }

    def jacobian(self, view: View) -> jax.Array:
        """Return J, with rows of 0 in the place of padding."""
        params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), view.function.tangent(view.params))
        chosen = self.of(params)

        def logits(chosen: dict[str, jax.Array]) -> jax.Array:
            f = view.function.network(replaced(params, chosen), view.rows.inputs).logits
            return jnp.where(view.rows.counts[:, None], f, 0).ravel()

        found = jax.jacrev(logits)(chosen)
        return jnp.concatenate([found[name].reshape(found[name].shape[0], -1) for name in chosen], axis=1)


def replaced(params: Any, tensors: dict[str, Any]) -> Any:
    """Return parameters with others in the place of those of these names."""
    leaves, tree = jax.tree.flatten(params)
    named = zip(tensor_names(params), leaves, strict=True)
    return jax.tree.unflatten(tree, [tensors.get(name, leaf) for name, leaf in named])


def flat(tensors: dict[str, Any]) -> jax.Array:
    """Return all entries of tensors in one row."""
    return jnp.concatenate([leaf.ravel() for leaf in tensors.values()])


def pieces_of(w: jax.Array, tensors: dict[str, Any]) -> dict[str, jax.Array]:
    """Return a row of entries as tensors like those that it was made of."""
    found, at = {}, 0
    for name, leaf in tensors.items():
        found[name] = w[at : at + leaf.size].reshape(leaf.shape).astype(leaf.dtype)
        at += leaf.size
    return found
