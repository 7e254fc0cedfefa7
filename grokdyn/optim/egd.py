"""EGD: gradients whose singular values are all equal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import optax

from grokdyn.optim.base import Wrapper
from grokdyn.spec.base import field
from grokdyn.spec.rules import Names, Number
from grokdyn.tasks.shapes import Shapes


class EGD(Wrapper):
    """Egalitarian gradient descent (2510.04930): the inner optimizer on U V^T in place of G = U S V^T.

    Every direction of a matrix's gradient is as fast as every other. Singular values below ``floor`` are divided by it
    in place of themselves, so that a zero gradient stays zero. The released code does so to the first layer alone; an
    L2 term belongs into the loss for that (here it is the inner optimizer's, added afterwards). Muon does the same to
    its momentum, approximately.
    """

    only: tuple[str, ...] = field(
        Names(), default=(), doc="matrices, e.g. W_0; none named: all tensors of 2 dimensions"
    )
    floor: float = field(Number(0, open_low=True), default=1e-6, doc="least singular value that is divided by")

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        matrices = [name for name, leaf in shapes.params.items() if len(leaf.shape) == 2]
        unknown = [name for name in self.only if name not in matrices]
        if unknown:
            yield "only", unknown[0], "matrices of this model: " + ", ".join(matrices)
        yield from super().conflicts(shapes)

    def before(self) -> list[optax.GradientTransformation]:
        def equal(name: str, g: jax.Array) -> jax.Array:
            return equalised(g, self.floor) if g.ndim == 2 and (name in self.only or not self.only) else g

        def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
            return {name: equal(name, g) for name, g in updates.items()}, state

        return [optax.GradientTransformation(lambda params: optax.EmptyState(), update)]


def equalised(G: jax.Array, floor: Any) -> jax.Array:
    """Return U min(S / floor, 1) V^T for G = U S V^T."""
    U, S, Vt = jnp.linalg.svd(G, full_matrices=False)
    return (U * jnp.minimum(S / jnp.asarray(floor, S.dtype), 1)) @ Vt
