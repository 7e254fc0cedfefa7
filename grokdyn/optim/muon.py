"""Muon: momentum made orthogonal, matrix by matrix."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax

from grokdyn.optim.adam import BETA, AdamW
from grokdyn.optim.base import Optimizer
from grokdyn.optim.sgd import scale_by_momentum
from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.kinds import Part
from grokdyn.spec.rules import Choice, Count, Flag, Names, Number
from grokdyn.tasks.shapes import Conflicts, Shapes

# Newton-Schulz coefficients: x -> a x + b x^3 + c x^5 takes singular values in (0, 1] to about 1 in five steps.
A, B, C = 3.4445, -4.7750, 2.0315
SCALES: dict[str, Callable[[int, int], float]] = {
    "original": lambda fan_in, fan_out: math.sqrt(max(1, fan_out / fan_in)),
    "adamw": lambda fan_in, fan_out: 0.2 * math.sqrt(max(fan_in, fan_out)),
}


class Muon(Optimizer):
    """Muon (Jordan et al. 2024): b <- momentum b + g, step along ``orthogonalised(g + momentum b)`` times a scale.

    It moves tensors of two or more dimensions but those named in ``leave``; ``rest``, with a learning rate of its own,
    moves the others. The authors leave embeddings and the readout to AdamW. Scales: ``original``
    sqrt(max(1, fan_out / fan_in)); ``adamw``: 0.2 sqrt(max(fan_in, fan_out)), a step as large as AdamW's (Liu et al.
    2025). ``weight_decay`` is decoupled and multiplied by the learning rate; ``clip_norm`` bounds the gradient of all
    tensors together.
    """

    learning_rate: float = field(Number(0), default=0.02, doc="step size")
    momentum: float = field(BETA, default=0.95, doc="decay of the momentum buffer")
    nesterov: bool = field(Flag(), default=True, doc="look ahead")
    weight_decay: float = field(Number(0), default=0.0, doc="decoupled weight decay")
    iterations: int = field(Count(1, 50), default=5, doc="Newton-Schulz iterations")
    scale: str = field(Choice(tuple(SCALES)), default="original", doc="factor on a matrix's step, by its shape")
    rest: Any = field(Part("optimizer"), default=AdamW(), doc="the optimizer of the other tensors")
    leave: tuple[str, ...] = field(Names(), default=(), doc="matrices that rest moves too, e.g. W_E, W_U")

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if not self.rest.plain:
            came = Words("an optimizer that takes gradients of its own, such as sam")
            yield "rest", came, "one that steps along the gradient; sam and its like may hold muon"

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        if self.momentum == 0:
            yield "nesterov", "momentum is 0"

    def conflicts(self, shapes: Shapes) -> Conflicts:
        params = shapes.params
        unknown = [name for name in self.leave if name not in params]
        if unknown:
            yield "leave", unknown[0], "tensors of this model: " + ", ".join(params)
        yield from super().conflicts(shapes)

    def direction(self) -> optax.GradientTransformation:
        return optax.chain(
            scale_by_momentum(self.momentum, self.nesterov), scale_by_orthogonality(self.iterations, self.scale)
        )

    def decay(self) -> Any:
        return self.weight_decay

    def parts(self) -> list[optax.GradientTransformation]:
        def ours(name: str, leaf: jax.Array) -> bool:
            return leaf.ndim >= 2 and name not in self.leave

        return [divided(ours, optax.chain(*super().parts()), self.rest.transform())]


def scale_by_orthogonality(iterations: int = 5, scale: str = "original") -> optax.GradientTransformation:
    """Return every matrix [..., fan_in, fan_out] orthogonalised, times the scale of its shape."""

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        def of(g: jax.Array) -> jax.Array:
            return orthogonalised(g, iterations) * jnp.asarray(SCALES[scale](*g.shape[-2:]), g.dtype)

        return jax.tree.map(of, updates), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def orthogonalised(G: jax.Array, iterations: int) -> jax.Array:
    """Return about U V^T for G = U S V^T, by ``iterations`` of X <- A X + B (X X^T) X + C (X X^T)^2 X from G / |G|.

    Singular values end between 0.7 and 1.2 or so. G may be a stack of matrices; zeros stay zeros.
    """
    if G.ndim > 2:
        return jax.vmap(lambda one: orthogonalised(one, iterations))(G)
    if G.shape[0] > G.shape[1]:
        return orthogonalised(G.T, iterations).T
    # In two steps, so that squares of tiny entries do not vanish.
    largest = jnp.max(jnp.abs(G))
    X = G / jnp.where(largest > 0, largest, 1)
    X = X / jnp.maximum(jnp.sqrt(jnp.sum(jnp.square(X))), 1)
    a, b, c = (jnp.asarray(number, G.dtype) for number in (A, B, C))
    for _ in range(iterations):
        gram = X @ X.T
        X = a * X + (b * gram + c * (gram @ gram)) @ X
    return X


class Divided(NamedTuple):
    """The states of both optimizers, each of its own tensors."""

    first: Any
    rest: Any


def divided(
    chosen: Callable[[str, jax.Array], bool], first: optax.GradientTransformation, rest: optax.GradientTransformation
) -> optax.GradientTransformation:
    """Return the transform that moves tensors chosen by name and shape with ``first``, the others with ``rest``."""

    def parts(tree: dict[str, jax.Array]) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
        ours = {name: leaf for name, leaf in tree.items() if chosen(name, leaf)}
        return ours, {name: leaf for name, leaf in tree.items() if name not in ours}

    def init(params: Any) -> Divided:
        ours, others = parts(params)
        return Divided(first.init(ours), rest.init(others))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        (u, v), (w, x) = parts(updates), parts(params)
        u, first_state = first.update(u, state.first, w)
        v, rest_state = rest.update(v, state.rest, x)
        moved = dict(cast(Any, u)) | dict(cast(Any, v))
        return {name: moved[name] for name in updates}, Divided(first_state, rest_state)

    return optax.GradientTransformation(init, update)
